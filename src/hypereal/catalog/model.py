"""What a model is: its kind, where it may be called, where it is sent and what it costs."""

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from hypereal.catalog.media import MediaPrice, MediaRules
from hypereal.catalog.price import Price
from hypereal.catalog.sound import SoundRules
from hypereal.kit.dialects import Dialect


class Kind(StrEnum):
    """What a model makes. Only CHAT is called through a dialect; the others have routes of their own."""

    CHAT = "chat"
    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"
    GPU = "gpu"
    REALTIME = "realtime"


INTENTS = frozenset(
    {
        "chat-fast",
        "chat-smart",
        "code",
        "text-to-image-fast",
        "text-to-image-quality",
        "image-edit",
        "text-to-video-fast",
        "text-to-video-quality",
        "image-to-video",
        "text-to-speech",
        "speech-to-text",
    }
)


ABILITIES = frozenset({"tools", "vision", "json_schema"})
"""What some chat models cannot do: call tools, see images, answer by a JSON schema."""


class TargetSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One upstream of a model: MODEL is the id there."""

    provider: str
    model: str
    weight: int | None = None
    """Targets that stand side by side and have weights share the calls by them; one without has its place in line."""
    dialects: frozenset[Dialect] | None = None
    """Where the vendor serves this model in fewer dialects than it speaks; None: in all of them."""
    cost: Price | None = None
    """What the vendor charges us; None: not known."""


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the catalog."""

    id: str
    kind: Kind
    family: str
    endpoints: frozenset[Dialect]
    """The dialects in which callers may ask for it, natively or through a bridge. Empty unless kind is CHAT."""
    targets: tuple[TargetSpec, ...]
    """In order of preference."""
    price: Price | None
    """None: not known, so the model cannot be called; or it is priced by the piece."""
    media_price: MediaPrice | None
    media: MediaRules | None
    """What it takes, where it makes pictures or video."""
    context_tokens_max: int
    output_tokens_max: int
    cache_tokens_min: int | None
    """The shortest prefix that its vendor caches where a request marks one; None: requests mark nothing there."""
    intents: tuple[str, ...]
    lacks: frozenset[str]
    """Of ABILITIES, those that it has not: an intent that needs one passes it over."""
    aliases: tuple[str, ...]
    assumed: frozenset[str]
    """The fields set by analogy and not from a text, e.g. 'price', 'price.cache_read', 'context_tokens_max'."""
    sources: Mapping[str, str]
    """Field -> where its value was written: 'built-in', 'hypereal.toml'; fields not named here are derived."""
    sound: SoundRules | None = None
    """What it takes, where it makes or hears speech."""
