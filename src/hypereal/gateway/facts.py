"""What the gateway reads off a request head: route, credential, what is forwarded. Kept with the cached head."""

import re
from collections.abc import Callable
from enum import Enum, auto
from functools import partial

import msgspec

from hypereal.accounts import NO_KEY, choose_credential
from hypereal.kit.dialects import Dialect
from hypereal.kit.errors import AuthenticationFailed, HyperealError, MethodNotAllowed, UpgradeRequired
from hypereal.kit.ids import hash_key
from hypereal.ledger import Stem
from hypereal.net import RequestHead, query_values
from hypereal.wire import DIALECTS, Request, read_by_shape

CLIENT_CHARS_MAX = 200
APP_CHARS_MAX = 64
APP = b"x-hypereal-app"
ALWAYS_STREAM = b"x-hypereal-always-stream"

FORWARDED = (
    b"anthropic-beta",
    b"anthropic-version",
    b"openai-beta",
    b"x-client-request-id",
    b"session-id",
    b"session_id",
    b"conversation_id",
    b"x-goog-api-client",
    b"x-claude-code-session-id",
    b"x-claude-code-agent-id",
    b"x-claude-code-parent-agent-id",
    b"x-claude-code-request-class",
)
"""Fields of the caller's head that reach an upstream. Everything else stays here."""


class Action(Enum):
    """What a hot route does."""

    GENERATE = auto()
    COUNT_TOKENS = auto()
    LIST_MODELS = auto()
    SHOW_MODEL = auto()


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A hot route. `dialect` is also the one its errors are told in."""

    endpoint: str
    """As it stands in the usage log."""
    action: Action
    method: bytes
    dialect: Dialect
    model: str | None = None
    """Where the path names it."""
    stream: bool | None = None
    """Where the path says so."""
    is_by_shape: bool = False
    """`/gemini`: the body's shape decides the dialect."""


Reader = Callable[[bytes | bytearray], Request]
"""Checks a body and makes a request of it. Raises InvalidRequest."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """One head, read. `route` is None for what the control process serves."""

    route: Route | None
    credential: bytes
    """The key to check: b'' where none was sent."""
    key_hash: bytes
    """What is known of that key, if anything is."""
    forwarded: bytes
    """Ready lines of a head, each with its CRLF."""
    client: str
    app: str | None
    """What the caller says that it is; for the log."""
    endpoint: str
    """The route's; '' without one."""
    origin: bool
    """Whether a browser asks, so that the answer needs CORS fields."""
    always_streams: bool = False
    """Contract 2.3: the caller wants the upstream's stream even where it asked for none."""
    generates: bool = False
    """An ordinary call that generates: nothing in the head stands against it."""
    refusal: HyperealError | None = None
    """Why the head alone suffices to refuse the call."""
    read: Reader = DIALECTS[Dialect.OPENAI_CHAT].read
    """How the route's bodies are read."""
    stem: Stem = msgspec.field(default_factory=Stem)
    """What the log says of whoever sends this head; of its principal."""


_PREFIX = rb"(?:/api/v1/v1|/api/v1|/v1/v1|/v1)"
_fixed = re.compile(
    _PREFIX + rb"/(chat/completions|messages|messages/count_tokens|responses|codex/responses|gemini)"
).fullmatch
_gemini_method = re.compile(
    rb"(?:/api/v1|/v1)?(?:/gemini)?(?:/v1beta|/v1alpha|/v1)?/models/([^:]{1,200}):"
    rb"(generateContent|streamGenerateContent|countTokens)"
).fullmatch
_models = re.compile(
    rb"(?:" + _PREFIX + rb"|(?:/api/v1|/v1)?(?:/gemini)?/(?:v1beta|v1alpha|v1))/models(?:/([^:]{1,200}))?"
).fullmatch

_FIXED = {
    b"chat/completions": Route(
        endpoint="chat/completions", action=Action.GENERATE, method=b"POST", dialect=Dialect.OPENAI_CHAT
    ),
    b"messages": Route(endpoint="messages", action=Action.GENERATE, method=b"POST", dialect=Dialect.ANTHROPIC_MESSAGES),
    b"messages/count_tokens": Route(
        endpoint="messages/count_tokens", action=Action.COUNT_TOKENS, method=b"POST", dialect=Dialect.ANTHROPIC_MESSAGES
    ),
    b"responses": Route(endpoint="responses", action=Action.GENERATE, method=b"POST", dialect=Dialect.OPENAI_RESPONSES),
    b"codex/responses": Route(
        endpoint="codex/responses", action=Action.GENERATE, method=b"POST", dialect=Dialect.OPENAI_RESPONSES
    ),
    b"gemini": Route(
        endpoint="gemini", action=Action.GENERATE, method=b"POST", dialect=Dialect.GEMINI, is_by_shape=True
    ),
}


def read_facts(head: RequestHead) -> Facts:
    """Read HEAD, and keep what was read with it. Never raises: what fits no hot route is for the control process."""
    route, credential = find_route(head), _credential(head)
    refusal = None if route is None else _refusal(head, route, credential)
    read = DIALECTS[Dialect.OPENAI_CHAT].read if route is None else _reader(head, route)
    head.memo = facts = Facts(
        route=route,
        credential=credential,
        key_hash=hash_key(credential),
        forwarded=b"".join(
            b"%s: %s\r\n" % (name.lower(), value) for name, value in head.fields if name.lower() in FORWARDED
        ),
        client=head.get(b"user-agent")[:CLIENT_CHARS_MAX].decode("latin-1"),
        app=head.get(APP)[:APP_CHARS_MAX].decode("latin-1") or None,
        endpoint="" if route is None else route.endpoint,
        origin=bool(head.get(b"origin")),
        always_streams=head.get(ALWAYS_STREAM) == b"true",
        generates=(
            route is not None and route.action is Action.GENERATE and refusal is None and head.method == route.method
        ),
        refusal=refusal,
        read=read,
    )
    return facts


def _reader(head: RequestHead, route: Route) -> Reader:
    if route.is_by_shape:
        return partial(read_by_shape, stream=True if b"alt=sse" in head.query else None)
    read = DIALECTS[route.dialect].read
    if route.model is None and route.stream is None:
        return read
    return partial(read, model=route.model, stream=route.stream)


def _refusal(head: RequestHead, route: Route, credential: bytes) -> HyperealError | None:
    if b"websocket" in head.upgrade:
        return UpgradeRequired("WebSocket is not served here: send the request over HTTP.")
    if head.method not in (route.method, b"OPTIONS"):
        method = route.method.decode()
        return MethodNotAllowed(f"Use {method} here.", headers={"allow": method})
    if not credential and head.method != b"OPTIONS":
        return AuthenticationFailed(NO_KEY)
    return None


def find_route(head: RequestHead) -> Route | None:
    """The hot route of HEAD's path, whatever its method."""
    path = head.path.rstrip(b"/")
    if fixed := _fixed(path):
        return _FIXED[fixed.group(1)]
    if found := _gemini_method(path):
        method = found.group(2).decode()
        return Route(
            endpoint=f"gemini:{method}",
            action=Action.COUNT_TOKENS if method == "countTokens" else Action.GENERATE,
            method=b"POST",
            dialect=Dialect.GEMINI,
            model=_unquote(found.group(1)),
            stream=method == "streamGenerateContent",
        )
    if found := _models(path):
        return _models_route(head, found.group(1))
    return None


def _models_route(head: RequestHead, model: bytes | None) -> Route:
    """The list has three shapes: by path for Gemini clients, by header for Anthropic's, OpenAI's for the rest."""
    if b"/v1beta/" in head.path + b"/" or b"/v1alpha/" in head.path + b"/" or b"/gemini/" in head.path:
        dialect = Dialect.GEMINI
    elif head.get(b"anthropic-version"):
        dialect = Dialect.ANTHROPIC_MESSAGES
    else:
        dialect = Dialect.OPENAI_CHAT
    return Route(
        endpoint="models",
        action=Action.LIST_MODELS if model is None else Action.SHOW_MODEL,
        method=b"GET",
        dialect=dialect,
        model=None if model is None else _unquote(model),
    )


def _credential(head: RequestHead) -> bytes:
    others = (head.get(b"x-api-key"), head.get(b"x-goog-api-key"), *query_values(head.query, b"key"))
    return choose_credential(head.get(b"authorization"), others)


def _unquote(raw: bytes) -> str:
    """Percent-decoding; ids are ASCII in practice, anything else simply names no model."""
    parts = raw.split(b"%")
    out = bytearray(parts[0])
    for part in parts[1:]:
        try:
            out += bytes([int(part[:2], 16)]) + part[2:]
        except ValueError:
            out += b"%" + part
    return out.decode("utf-8", "replace")
