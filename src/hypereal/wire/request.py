"""One caller's request as the gateway sees it: a few facts, and the rest as the bytes that it came in."""

import msgspec

from hypereal.kit.dialects import Dialect
from hypereal.wire.members import Fields
from hypereal.wire.own import NO_OWN, Own


class Request(msgspec.Struct, kw_only=True, gc=False):
    """A caller's request, read. `fields` point into the body they came from, so that body must not change."""

    dialect: Dialect
    model: str
    """As the caller wrote it: an id or an alias; '' where `own.intent` stands in its place."""
    stream: bool
    fields: Fields
    """What goes upstream, in the caller's order; the gateway's own members are taken off."""
    size_bytes: int
    own: Own = NO_OWN
    output_tokens_max: int | None = None
    """The caller's own limit of output per choice, thinking included."""
    choices: int = 1
    continues: str | None = None
    """The earlier response that the caller named, where its conversation stands in `fields` in the place of its id."""
    wants_usage: bool = True
    """False: a chat stream whose caller did not ask for usage, so it goes into the finish chunk (`chat_finish`)."""
