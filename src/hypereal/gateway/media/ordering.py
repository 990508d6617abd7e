"""From a wish to an order: the model by its name or an intent, its rules, its targets, and the caller's limits."""

from collections.abc import Iterator

import msgspec

from hypereal.catalog import (
    Kind,
    MediaAsked,
    MediaOrder,
    Model,
    SoundAsked,
    SoundKind,
    SoundOrder,
    order_of,
    sound_order_of,
)
from hypereal.gateway.media.asking import Wish
from hypereal.gateway.media.conductor import Asked
from hypereal.gateway.media.job import Ask, Origin
from hypereal.gateway.media.materials import Materials
from hypereal.gateway.media.ways import Ways
from hypereal.kit.access import Caller
from hypereal.kit.errors import InvalidRequest, PermissionDenied, UnknownModel
from hypereal.providers.drivers import Kind as WorkKind

ROUTES = {Kind.IMAGE: "/v1/images/generations", Kind.VIDEO: "/v1/videos/generate", Kind.AUDIO: "/v1/audio/generations"}
SOUND_ROUTES = {SoundKind.SPEECH: "/v1/audio/speech", SoundKind.TRANSCRIPT: "/v1/audio/transcriptions"}
WORK = {
    SoundKind.SPEECH: WorkKind.SPEECH,
    SoundKind.CLONE: WorkKind.CLONE,
    SoundKind.TRANSCRIPT: WorkKind.TRANSCRIPT,
}
CHAT_ROUTES = "/v1/chat/completions, /v1/messages, /v1/responses or /v1/gemini"


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A model, what the wish comes to with it, and where it can be made."""

    model: Model
    order: MediaOrder
    targets: tuple[str, ...]


def find(ways: Ways, kind: Kind, caller: Caller, wish: Wish) -> Found:
    """What WISH comes to. A model that is named is honoured exactly, and wins over an intent (contract 3.2).

    Raises InvalidRequest, UnknownModel, PermissionDenied.
    """
    if wish.model is not None:
        return _named(ways, kind, caller, wish, wish.model)
    if wish.intent is None:
        raise InvalidRequest("model: name one, or an intent.", param="model")
    return _intended(ways, kind, caller, wish, wish.intent)


def _named(ways: Ways, kind: Kind, caller: Caller, wish: Wish, name: str) -> Found:
    model = ways.catalog.find(name)
    if model is None:
        raise UnknownModel(name, _ids(ways, kind))
    if model.kind is not kind:
        route = ROUTES.get(model.kind, CHAT_ROUTES)
        raise InvalidRequest(
            f"Model '{model.id}' is not served on {ROUTES[kind]}. It is a model of kind {model.kind}: use {route}.",
            code="wrong_endpoint",
            param="model",
        )
    _check_sound(model, wish)
    if caller.models is not None and model.id not in caller.models:
        raise PermissionDenied(f"This key may not call '{model.id}'.")
    if model.media_price is None:
        raise InvalidRequest(
            f"Model '{model.id}' has no price, so it cannot be called. The operator sets one in the catalog.",
            code="model_not_priced",
            param="model",
        )
    order = _order(model, wish)
    work, voice = work_of(model, wish), order.voice if isinstance(order, SoundOrder) else None
    targets = ways.targets(model, work, voice)
    if not targets:
        mending = "leave out the reference images, or use another model." if wish.references else "use another model."
        raise InvalidRequest(
            ways.missing(model, work) or f"No provider of '{model.id}' that is set up here can do this: {mending}",
            code="no_provider",
            param="model",
        )
    return Found(model=model, order=order, targets=targets)


def _check_sound(model: Model, wish: Wish) -> None:
    """Models of speech and of transcripts have endpoints of their own."""
    if model.sound is None and model.kind is Kind.AUDIO:
        raise InvalidRequest(
            f"The catalog does not say what '{model.id}' takes: the operator sets `sound`.", param="model"
        )
    if model.sound is not None and wish.sounds and model.sound.kind not in wish.sounds:
        route = SOUND_ROUTES.get(model.sound.kind, ROUTES[Kind.AUDIO])
        raise InvalidRequest(
            f"Model '{model.id}' is not served here: use {route}.", code="wrong_endpoint", param="model"
        )


def _intended(ways: Ways, kind: Kind, caller: Caller, wish: Wish, intent: str) -> Found:
    """The cheapest healthy model of the bucket that takes the wish, by this request's price; then by its id."""
    fitting = list(_of_intent(ways, kind, intent))
    if not fitting:
        known = sorted({one for model in ways.catalog.models.values() if model.kind is kind for one in model.intents})
        raise InvalidRequest(f"Unknown intent '{intent[:100]}' here. There are: {', '.join(known)}.", param="intent")
    found, refusal = [], None
    for model in fitting:
        try:
            found.append(_named(ways, kind, caller, wish, model.id))
        except (InvalidRequest, PermissionDenied) as error:
            refusal = error
    if not found:
        raise InvalidRequest(
            f"No model of intent '{intent}' takes this request. The last one said: {refusal}",
            code="no_model_fits",
            param="intent",
        )
    found.sort(key=lambda one: (not ways.is_healthy(one.targets), one.order.worst_case, one.model.id))
    return found[0]


def _of_intent(ways: Ways, kind: Kind, intent: str) -> Iterator[Model]:
    return (model for model in ways.catalog.models.values() if model.kind is kind and intent in model.intents)


def _ids(ways: Ways, kind: Kind) -> list[str]:
    return [model.id for model in ways.catalog.models.values() if model.kind is kind and model.media_price is not None]


def _order(model: Model, wish: Wish) -> MediaOrder:
    if model.sound is not None:
        assert model.media_price is not None
        sound = SoundAsked(
            text=wish.text,
            voice=wish.voice,
            format=wish.format,
            speed=wish.speed,
            has_audio=wish.audio is not None,
            audio_s=wish.audio_s,
        )
        return sound_order_of(model.sound, model.media_price, sound)
    assert model.media is not None and model.media_price is not None
    given = (*wish.references, *((wish.mask,) if wish.mask else ()), *((wish.last_image,) if wish.last_image else ()))
    asked = MediaAsked(
        prompt=wish.prompt,
        n=wish.n,
        size=wish.size,
        aspect_ratio=wish.aspect_ratio,
        resolution=wish.resolution,
        duration_s=wish.duration_s,
        references=len(wish.references),
        schemes=frozenset(one.partition(":")[0] for one in given),
        has_last_image=wish.last_image is not None,
    )
    return order_of(model.media, model.media_price, asked)


def work_of(model: Model, wish: Wish) -> WorkKind:
    """What MODEL is to do for WISH."""
    if model.sound is not None:
        return WORK[model.sound.kind]
    if model.kind is Kind.VIDEO:
        return WorkKind.VIDEO
    return WorkKind.IMAGE_EDIT if wish.references else WorkKind.IMAGE


async def check_materials(materials: Materials, wish: Wish) -> None:
    """See that the files of WISH can be had. Raises InvalidRequest, UnusableUrl."""
    for url in wish.references:
        await materials.check(url, "reference_images")
    for given, field in ((wish.mask, "mask"), (wish.last_image, "last_image_url")):
        if given is not None:
            await materials.check(given, field)


def asked_of(found: Found, wish: Wish, origin: Origin, idempotency_key: str | None) -> Asked:
    """What the conductor begins."""
    order = found.order
    sound = order if isinstance(order, SoundOrder) else None
    ask = Ask(
        kind=work_of(found.model, wish),
        prompt=wish.prompt,
        size=order.size,
        aspect_ratio=order.aspect_ratio,
        resolution=order.resolution,
        quality=wish.quality,
        duration_s=order.duration_s,
        references=wish.references,
        mask=wish.mask,
        last_image=wish.last_image,
        format=wish.format if sound is None else sound.format,
        seed=wish.seed,
        extra=wish.extra,
        text=wish.text,
        voices=sound.voice.ids if sound is not None and sound.voice is not None else {},
        audio=wish.audio,
        language=wish.language,
    )
    return Asked(
        model=found.model,
        order=order,
        ask=ask,
        targets=found.targets,
        origin=origin if wish.webhook_url is None else msgspec.structs.replace(origin, webhook_url=wish.webhook_url[0]),
        idempotency_key=idempotency_key,
        body=wish.body,
        listener=wish.listener,
    )
