"""The ways to have something made: a target of a model, over its vendor's driver, or drawn on this machine."""

import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Protocol

import msgspec

from hypereal.catalog import Catalog, Model, TargetSpec, Voice
from hypereal.gateway.media import speaking
from hypereal.gateway.media.drawing import DrawnHere
from hypereal.gateway.media.job import Ask, Made
from hypereal.gateway.media.live import Listener
from hypereal.gateway.media.materials import Materials
from hypereal.gateway.media.sending import NotAnswered, NotSent, Sender, pieces_of
from hypereal.gateway.media.speaking import SpokenHere
from hypereal.kit.errors import UnusableUrl
from hypereal.kit.ids import AccountId
from hypereal.providers import LOCAL, Provider
from hypereal.providers.drivers import (
    DRIVERS,
    Answer,
    Call,
    Driver,
    Failed,
    Fault,
    FaultKind,
    Kind,
    Media,
    Outcome,
    Request,
    Route,
    Secret,
    Signed,
    Task,
    Unclear,
    Work,
)

SUBMIT_S_MAX = 900.0
POLL_S_MAX = 30.0
DOWNLOAD_S_MAX = 3600.0
REST_S = 30.0
RESTS_MAX = 1_000
UNSUPPORTED = "unsupported"
"""The code of a fault that means: not by this vendor, perhaps by the next."""
ELSEWHERE = "elsewhere"
"""The code of one that means: not again by this vendor, which may have begun; by the next."""
NOT_SENT = "not_sent"
"""The code of one that means: nobody was reached."""


_ILL = (FaultKind.CREDENTIAL, FaultKind.BALANCE, FaultKind.RATE, FaultKind.VENDOR)


class Way(Protocol):
    """One target, for one kind of work."""

    @property
    def provider(self) -> str:
        """Its name, as callers are told."""

    @property
    def is_batch(self) -> bool:
        """It makes several at once."""

    @property
    def is_idempotent(self) -> bool:
        """A submit may be sent again: nothing is begun twice."""

    @property
    def is_direct(self) -> bool:
        """What was made is in the answer to the submit: when that is over, nothing goes on there."""

    @property
    def is_called_back(self) -> bool:
        """The vendor may be told where to call us."""

    async def prepare(self, owner_id: AccountId, ask: Ask, name: str) -> Work:
        """ASK as it wants it. Raises UnusableUrl, CannotBring."""

    async def submit(self, work: Work, key_number: int, listener: Listener | None = None) -> Outcome:
        """Have it begun. LISTENER hears it while it comes, where it comes that way."""

    def recover(self, work: Work) -> Task | None:
        """See `Driver.recover`."""

    async def poll(self, task: Task, key_number: int) -> Outcome:
        """How it goes."""

    async def cancel(self, task: Task, key_number: int) -> bool:
        """Whether the vendor says that it is stopped."""

    @property
    def keys(self) -> int:
        """How many keys there are."""

    async def open(self, made: Made, key_number: int) -> str | AsyncIterator[bytes]:
        """Where, or what, an output is that only the credential opens. Raises UnusableUrl."""


class VendorWay:
    """A target at a vendor."""

    is_idempotent = False

    def __init__(
        self, provider: Provider, driver: Driver, route: Route, *, model: str, sender: Sender, materials: Materials
    ) -> None:
        self.provider = provider.name
        self.keys = max(1, len(provider.api_keys))
        self.is_batch = route.is_batch
        self.is_idempotent = route.is_idempotent
        self.is_direct = route.is_direct
        self.is_called_back = driver.callback is not None and (
            driver.callback.secret is not Secret.ACCOUNT or provider.callback_secret is not None
        )
        self._takes = route.takes
        self._provider = provider
        self._driver = driver
        self._model = model
        self._sender = sender
        self._materials = materials

    async def prepare(self, owner_id: AccountId, ask: Ask, name: str) -> Work:
        """See `Way`."""

        async def bring(given: str, number: int | str) -> Media:
            return await self._materials.bring(owner_id, given, self._takes, f"{name}/in/{number}")

        return Work(
            kind=ask.kind,
            model=self._model,
            prompt=ask.prompt,
            size=ask.size,
            aspect_ratio=ask.aspect_ratio,
            resolution=ask.resolution,
            quality=ask.quality,
            duration_s=ask.duration_s,
            references=tuple([await bring(one, number) for number, one in enumerate(ask.references)]),
            mask=None if ask.mask is None else await bring(ask.mask, "mask"),
            last_image=None if ask.last_image is None else await bring(ask.last_image, "last"),
            format=ask.format,
            seed=ask.seed,
            extra=ask.extra,
            text=ask.text,
            voice=_voice_at(self._provider, ask.voices),
            audio=None
            if ask.audio is None
            else await self._materials.bring_recording(owner_id, ask.audio, self._takes, f"{name}/in/audio"),
            language=ask.language,
        )

    async def submit(self, work: Work, key_number: int, listener: Listener | None = None) -> Outcome:
        """See `Way`."""

        def hears(head: Answer) -> Callable[[bytes], None] | None:
            content_type = self._driver.opens(work, head)
            return None if content_type is None or listener is None else listener.begin(content_type, self.provider)

        try:
            request = self._driver.submit(work)
        except ValueError as error:
            return Failed(fault=Fault(kind=FaultKind.VENDOR, message=str(error), code=UNSUPPORTED))
        timeout_s = min(self._provider.timeout_s, SUBMIT_S_MAX)
        try:
            answer = await self._sender.send(self._signed(request, key_number), timeout_s, begins=True, hears=hears)
        except NotSent as error:
            return Failed(fault=_fault("cannot be reached", str(error), NOT_SENT))
        except NotAnswered as error:
            return Unclear(fault=_fault("did not answer", str(error)))
        said = self._driver.read_submit(work, answer)
        if isinstance(said, Unclear) and answer.status >= 500 and not self._can_tell(work):
            # It answered that it failed, so this is a fault of the vendor's; but it may have begun all the same.
            return Failed(fault=msgspec.structs.replace(said.fault, code=ELSEWHERE))
        return said

    def _can_tell(self, work: Work) -> bool:
        return self.is_idempotent or self._driver.recover(work) is not None

    def recover(self, work: Work) -> Task | None:
        """See `Way`."""
        return self._driver.recover(work)

    async def poll(self, task: Task, key_number: int) -> Outcome:
        """See `Way`."""
        try:
            signed = self._signed(self._driver.poll(task), key_number)
            answer = await self._sender.send(signed, POLL_S_MAX)
        except (NotSent, NotAnswered) as error:
            return Unclear(fault=_fault("does not answer", str(error)))
        except ValueError as error:  # the task names a place that is not the vendor's any more
            return Failed(fault=Fault(kind=FaultKind.LOST, message="The task cannot be asked for.", detail=str(error)))
        return self._driver.read_poll(task, answer)

    async def cancel(self, task: Task, key_number: int) -> bool:
        """See `Way`."""
        request = self._driver.cancel(task)
        if request is None:
            return False
        try:
            answer = await self._sender.send(self._signed(request, key_number), POLL_S_MAX)
        except (NotSent, NotAnswered, ValueError):
            return False
        return self._driver.read_cancel(task, answer)

    async def open(self, made: Made, key_number: int) -> str | AsyncIterator[bytes]:
        """See `Way`. A redirect is followed by others, without the credential."""
        request = Request(method="GET", url=made.url)
        try:
            signed = self._signed(request, key_number)
            async with self._sender.open(signed, POLL_S_MAX) as answer:
                if answer.is_redirect and "location" in answer.headers:
                    return str(answer.url.join(answer.headers["location"]))
                if answer.status_code != 200:
                    is_temporary = answer.status_code >= 500 or answer.status_code in (408, 425, 429)
                    raise UnusableUrl(f"status {answer.status_code}", param="output", is_temporary=is_temporary)
        except (NotSent, NotAnswered) as error:
            raise UnusableUrl(str(error), param="output", is_temporary=True) from None
        except ValueError as error:
            raise UnusableUrl(str(error), param="output") from None
        return self._pieces(signed)

    async def _pieces(self, signed: Signed) -> AsyncIterator[bytes]:
        try:
            async with self._sender.open(signed, DOWNLOAD_S_MAX) as answer:
                async for piece in pieces_of(answer):
                    yield piece
        except (NotSent, NotAnswered) as error:
            raise UnusableUrl(str(error), param="output", is_temporary=True) from None

    def _signed(self, request: Request, key_number: int) -> Signed:
        return self._driver.sign(self._provider, request, at_unix_s=time.time(), key_number=key_number % self.keys)


class Ways:
    """All ways, of one catalog and the providers of one reading of the settings."""

    def __init__(
        self, catalog: Catalog, providers: Mapping[str, Provider], sender: Sender, materials: Materials
    ) -> None:
        self.catalog = catalog
        self._providers = providers
        self._sender = sender
        self.materials = materials
        self._here: tuple[DrawnHere | SpokenHere, ...] = (DrawnHere(materials), SpokenHere(materials))
        self._rests: dict[str, float] = {}
        """Of targets that failed: until when (`time.monotonic`) others are asked first."""

    def heard(self, target: str, call: Call, secret: str) -> bytes | None:
        """What a vendor that calls about a task of TARGET wants to hear; None where its signature is not good.

        SECRET is the task's. Where we have nothing to check a signature with, the address has to do: it is only a hint.
        """
        provider = self._providers.get(target.partition(":")[0])
        driver = None if provider is None or provider.driver is None else DRIVERS.get(provider.driver)
        if provider is None or driver is None or driver.callback is None:
            return b""
        secrets = {
            Secret.JOB: (secret,),
            Secret.API_KEY: provider.api_keys,
            Secret.ACCOUNT: (provider.callback_secret,) if provider.callback_secret else (),
        }.get(driver.callback.secret, ())
        if driver.callback.secret is not Secret.NONE and not secrets:
            return b""
        pushed = driver.callback.read(call, tuple(one.encode() for one in secrets), time.time())
        return None if pushed is None else pushed.reply

    def is_healthy(self, targets: tuple[str, ...]) -> bool:
        """Whether one of TARGETS is well, as far as this process has seen."""
        return any(self._rests.get(target, 0.0) <= time.monotonic() for target in targets)

    def note(self, target: str, fault: Fault | None) -> None:
        """TARGET has done what it was asked for, or FAULT kept it from that."""
        if fault is None:
            self._rests.pop(target, None)
        elif fault.kind in _ILL and fault.code != UNSUPPORTED and len(self._rests) < RESTS_MAX:
            self._rests[target] = time.monotonic() + REST_S

    def targets(self, model: Model, kind: Kind, voice: Voice | None = None) -> tuple[str, ...]:
        """The targets of MODEL that have a credential and can do KIND, in order of preference: the ill ones last.

        Where no target has a credential at all, it is made here, whatever the VOICE. Empty: those that have one cannot
        do it, or do not have the voice.
        """
        usable = self._usable(model)
        if not usable:
            here = f"{LOCAL}:{model.id}"
            return (here,) if self.of(here, kind) is not None else ()
        names = (
            f"{spec.provider}:{spec.model}"
            for spec in usable
            if voice is None or _voice_at(self._providers[spec.provider], voice.ids) is not None
        )
        able = [name for name in names if self.of(name, kind) is not None]
        return tuple(sorted(able, key=lambda name: not self.is_healthy((name,))))

    def missing(self, model: Model, kind: Kind) -> str | None:
        """What to install so that KIND can be made here, where no target of MODEL has a credential."""
        return None if self._usable(model) else speaking.missing(kind)

    def of(self, target: str, kind: Kind) -> Way | None:
        """The way to TARGET; None where settings or drivers have none (any more)."""
        name, _, model = target.partition(":")
        if name == LOCAL:
            return next((way for way in self._here if kind in way.kinds), None)
        provider = self._providers.get(name)
        if provider is None or provider.driver is None or not provider.is_usable:
            return None
        driver = DRIVERS.get(provider.driver)
        route = None if driver is None else driver.route(Work(kind=kind, model=model))
        if driver is None or route is None:
            return None
        return VendorWay(provider, driver, route, model=model, sender=self._sender, materials=self.materials)

    def _usable(self, model: Model) -> list[TargetSpec]:
        return [spec for spec in model.targets if self._is_usable(spec.provider)]

    def _is_usable(self, name: str) -> bool:
        provider = self._providers.get(name)
        return provider is not None and provider.is_usable and name != LOCAL


def _voice_at(provider: Provider, ids: Mapping[str, str]) -> str | None:
    """The id of a voice at PROVIDER: by its name, or, of an operator's own, by whom it speaks like."""
    return ids.get(provider.name) or ids.get(provider.driver or "")


def _fault(what: str, detail: str, code: str = "") -> Fault:
    message = f"The provider of this model {what}."
    return Fault(kind=FaultKind.VENDOR, message=message, detail=detail, code=code)
