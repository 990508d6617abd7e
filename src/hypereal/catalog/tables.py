"""The TOML form of a model, and its checked translation into `Model`. Unknown keys and bad values are refused."""

import hashlib
import re
from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Annotated, Any

import msgspec

from hypereal.catalog.media import ANY, MediaPrice, MediaRules, Unit
from hypereal.catalog.media_tables import MediaTable, rules_of
from hypereal.catalog.model import ABILITIES, INTENTS, Kind, Model, TargetSpec
from hypereal.catalog.price import LongContext, Price, Rates
from hypereal.catalog.sound import SoundRules
from hypereal.catalog.sound_tables import SoundTable, sound_of
from hypereal.kit.dialects import Dialect
from hypereal.kit.money import MICRO_PER_CREDIT, MICRO_PER_DOLLAR, Micro, Rate, rate_from_dollars

TARGETS_MAX = 16
ALIASES_MAX = 64
TIERS_MAX = 16
CONTEXT_TOKENS_UNKNOWN = 1_048_576
"""Where nothing says how much a model reads: so much that a hold is bounded by the bytes of the body instead."""
OUTPUT_TOKENS_UNKNOWN = 131_072

_ID = re.compile(r"[A-Za-z0-9][\w.:/@+-]{0,127}", re.ASCII)
_Count = Annotated[int, msgspec.Meta(ge=1, le=10**9)]


class LongContextTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Above so many input tokens, the rates of the whole request are so many times the price's."""

    above_tokens: _Count
    input_times: Decimal
    output_times: Decimal


class PriceTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """$ per million tokens; `web_search`: $ per search."""

    input: Decimal | None = None
    output: Decimal | None = None
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    cache_write_1h: Decimal | None = None
    web_search: Decimal = Decimal("0.01")
    long_context: Annotated[list[LongContextTable], msgspec.Meta(max_length=TIERS_MAX)] = []
    assumed: bool = False
    free: bool = False


class MediaPriceTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Credits per unit: one number, or one a tier."""

    per: Unit
    credits: Decimal | Annotated[dict[str, Decimal], msgspec.Meta(min_length=1, max_length=TIERS_MAX)]
    assumed: bool = False


class CacheRatio(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Cache prices as parts of the input price, where the price does not give them."""

    read: Decimal = Decimal("0.1")
    write: Decimal = Decimal(1)
    write_1h: Decimal = Decimal(1)


class TargetTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A target with more than its name; `target` is 'provider:model'."""

    target: str
    weight: Annotated[int, msgspec.Meta(ge=1, le=1000)] | None = None
    dialects: list[Dialect] | None = None
    cost: PriceTable | None = None
    """What the vendor charges us, in the form of a price."""


class ModelTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[models."id"]` table, merged from the built-in one and the operator's."""

    kind: Kind
    family: str
    endpoints: list[Dialect] | None = None
    targets: Annotated[list[str | TargetTable], msgspec.Meta(max_length=TARGETS_MAX)] = []
    price: PriceTable | None = None
    media_price: MediaPriceTable | None = None
    media: MediaTable | None = None
    sound: SoundTable | None = None
    cache_ratio: CacheRatio = CacheRatio()
    context_tokens_max: _Count | None = None
    output_tokens_max: _Count | None = None
    cache_tokens_min: _Count | None = None
    intents: list[str] = []
    lacks: list[str] = []
    aliases: Annotated[list[str], msgspec.Meta(max_length=ALIASES_MAX)] = []
    assumed: list[str] = []


def model_of(
    model_id: str, table: Mapping[str, Any], *, sources: Mapping[str, str], providers: Mapping[str, Collection[Dialect]]
) -> Model:
    """The Model of one merged TABLE; targets may name only PROVIDERS, and the dialects of these.

    Raises ValueError that names the key.
    """
    try:
        read = msgspec.convert(table, ModelTable)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
    is_chat = read.kind is Kind.CHAT
    targets = tuple(_target(entry, providers, read.cache_ratio) for entry in read.targets)
    if is_chat and not targets:
        raise ValueError("targets: a chat model needs at least one")
    for name in (model_id, *read.aliases):
        if not _ID.fullmatch(name):
            raise ValueError(f"{name!r} cannot be an id: letters, digits and . _ : / @ + - only, at most 128")
    _check_words("intents", read.intents, INTENTS)
    _check_words("lacks", read.lacks, ABILITIES)
    assumed = set(read.assumed)
    price = _price(read.price, read.cache_ratio, assumed) if read.price else None
    for field in ("context_tokens_max", "output_tokens_max"):
        if is_chat and getattr(read, field) is None:
            assumed.add(field)
    return Model(
        id=model_id,
        kind=read.kind,
        family=read.family,
        endpoints=_endpoints(read),
        targets=targets,
        price=price,
        media_price=_media_price(read.media_price, assumed) if read.media_price else None,
        media=_media(read, assumed),
        sound=_sound(read, providers, assumed),
        context_tokens_max=read.context_tokens_max or CONTEXT_TOKENS_UNKNOWN,
        output_tokens_max=read.output_tokens_max or OUTPUT_TOKENS_UNKNOWN,
        cache_tokens_min=read.cache_tokens_min,
        intents=tuple(read.intents),
        lacks=frozenset(read.lacks),
        aliases=tuple(read.aliases),
        assumed=frozenset(assumed),
        sources=sources,
    )


def _check_words(key: str, given: Collection[str], known: Collection[str]) -> None:
    for word in given:
        if word not in known:
            raise ValueError(f"{key}: there is no {word!r}; there are {', '.join(sorted(known))}")


def _endpoints(read: ModelTable) -> frozenset[Dialect]:
    """Every chat model is asked for in every dialect unless its table says otherwise, as Claude's do."""
    if read.kind is not Kind.CHAT:
        if read.endpoints:
            raise ValueError(f"endpoints: only models of kind chat have any, not {read.kind}")
        return frozenset()
    if read.endpoints == []:
        raise ValueError("endpoints: a chat model needs at least one")
    return frozenset(read.endpoints or Dialect)


def _target(entry: str | TargetTable, providers: Mapping[str, Collection[Dialect]], ratio: CacheRatio) -> TargetSpec:
    table = TargetTable(target=entry) if isinstance(entry, str) else entry
    provider, _, model = table.target.partition(":")
    if not provider or not model:
        raise ValueError(f"targets: {table.target!r} is not 'provider:model'")
    if provider not in providers:
        raise ValueError(f"targets: {table.target!r}: there is no provider {provider!r}")
    dialects = None if table.dialects is None else frozenset(table.dialects)
    for dialect in dialects or ():
        if dialect not in providers[provider]:
            raise ValueError(f"targets: {table.target!r}: {provider} does not speak {dialect}")
    cost = None if table.cost is None else _cost(table.target, table.cost, ratio)
    return TargetSpec(provider=provider, model=model, weight=table.weight, dialects=dialects, cost=cost)


def _cost(target: str, table: PriceTable, ratio: CacheRatio) -> Price:
    try:
        cost = _price(table, ratio, set())
    except ValueError as error:
        raise ValueError(f"targets: {target!r}: cost: {error}") from None
    if cost is None:
        raise ValueError(f"targets: {target!r}: cost: needs input and output")
    return cost


def _price(table: PriceTable, ratio: CacheRatio, assumed: set[str]) -> Price | None:
    """None where input or output is not given: a model whose price is not known cannot be called, and is never free."""
    if table.input is None or table.output is None:
        return None
    if table.assumed:
        assumed.add("price")
    dollars = _dollars(table, table.input, table.output, ratio)
    assumed.update(f"price.{name}" for name in dollars if getattr(table, name) is None)
    rates = {name: _rate(f"price.{name}", amount, table.free) for name, amount in dollars.items()}
    web_search = Micro(_exact("price.web_search", table.web_search, MICRO_PER_DOLLAR, table.free))
    tiers = tuple(_tier(tier, dollars, table.free) for tier in table.long_context)
    _check_tiers(Rates(**rates), tiers)
    facts = repr((rates, web_search, tiers)).encode()
    version = hashlib.sha256(facts).hexdigest()[:12]
    return Price(version=version, web_search=web_search, long_context=tiers, **rates)


def _dollars(table: PriceTable, base: Decimal, output: Decimal, ratio: CacheRatio) -> dict[str, Decimal]:
    """$ per million tokens of each kind. Factors are checked first: a product of absurd ones is no number."""
    _check_amount("price.input", base, table.free)
    dollars = {"input": base, "output": output}
    for kind in CacheRatio.__struct_fields__:
        given, times = getattr(table, f"cache_{kind}"), getattr(ratio, kind)
        _check_amount(f"cache_ratio.{kind}", times, table.free)
        dollars[f"cache_{kind}"] = base * times if given is None else given
    return dollars


def _check_tiers(rates: Rates, tiers: tuple[LongContext, ...]) -> None:
    above_tokens = 0
    for tier in tiers:
        if tier.above_tokens <= above_tokens:
            raise ValueError("price.long_context: above_tokens must grow")
        if any(getattr(tier, name) < getattr(rates, name) for name in Rates.__struct_fields__):
            raise ValueError("price.long_context: a longer context may not cost less")
        rates, above_tokens = tier, tier.above_tokens


def _tier(tier: LongContextTable, dollars: Mapping[str, Decimal], is_free: bool) -> LongContext:
    _check_amount("price.long_context.input_times", tier.input_times, False)
    _check_amount("price.long_context.output_times", tier.output_times, False)
    rates = {
        name: _rate(
            "price.long_context", amount * (tier.output_times if name == "output" else tier.input_times), is_free
        )
        for name, amount in dollars.items()
    }
    return LongContext(above_tokens=tier.above_tokens, **rates)


def _media_price(table: MediaPriceTable, assumed: set[str]) -> MediaPrice:
    if table.assumed:
        assumed.add("media_price")
    tiers = table.credits if isinstance(table.credits, dict) else {ANY: table.credits}
    exact = {tier: Micro(_exact("media_price", amount, MICRO_PER_CREDIT, False)) for tier, amount in tiers.items()}
    version = hashlib.sha256(repr((table.per.value, sorted(exact.items()))).encode()).hexdigest()[:12]
    return MediaPrice(per=table.per, tiers=exact, version=version)


def _media(read: ModelTable, assumed: set[str]) -> MediaRules | None:
    if read.media is None:
        return MediaRules() if read.kind in (Kind.IMAGE, Kind.VIDEO) else None
    if read.media.assumed:
        assumed.add("media")
    rules = rules_of(read.media)
    tiers = read.media_price.credits if read.media_price else ANY
    if isinstance(tiers, dict):
        for tier in (*rules.sizes.values(), *(() if rules.sizes else rules.resolutions)):
            if tier not in tiers:
                raise ValueError(f"media: media_price has no tier {tier!r}")
    return rules


def _sound(read: ModelTable, providers: Collection[str], assumed: set[str]) -> SoundRules | None:
    if read.sound is None:
        return None
    if read.kind is not Kind.AUDIO:
        raise ValueError(f"sound: only models of kind audio have it, not {read.kind}")
    if read.media_price is not None and (read.media_price.per is not Unit.REQUEST or _is_tiered(read.media_price)):
        raise ValueError("media_price: a model of sound is priced per request, with one number of credits")
    if read.sound.assumed:
        assumed.add("sound")
    return sound_of(read.sound, providers)


def _is_tiered(price: MediaPriceTable) -> bool:
    return isinstance(price.credits, dict)


def _rate(name: str, dollars: Decimal, is_free: bool) -> Rate:
    _check_amount(name, dollars, is_free)
    try:
        return rate_from_dollars(dollars)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _exact(name: str, amount: Decimal, factor: int, is_free: bool) -> int:
    _check_amount(name, amount, is_free)
    scaled = amount * factor
    if scaled != scaled.to_integral_value():
        raise ValueError(f"{name}: more decimals than are kept: {amount}")
    return int(scaled)


def _check_amount(name: str, amount: Decimal, is_free: bool) -> None:
    if not amount.is_finite() or amount < 0 or amount > 10**6:
        raise ValueError(f"{name}: out of range: {amount}")
    if amount == 0 and not is_free:
        raise ValueError(f"{name}: zero is refused, unless the price says free = true")
