"""One conversation stays with one target, and with one of its provider's keys, so that its cache there stays warm.

Where nothing is remembered, rendezvous hashing decides, so that all processes agree without telling each other.
"""

import hashlib
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import msgspec

from hypereal.gateway.call import Call
from hypereal.gateway.routing import Way
from hypereal.kit.clock import coarse
from hypereal.kit.dialects import Dialect
from hypereal.kit.ids import KeyId
from hypereal.wire import Request

if TYPE_CHECKING:
    from hypereal.gateway.bill import Bill

KEPT_MAX = 65_536
IDLE_S = 3_600.0
"""A conversation that was silent for so long has no cache anywhere."""
AWAY_S_MAX = 900.0
"""So long at most it stays with a target that it came to only because a better one had failed."""
START_BYTES_MAX = 4_096
"""Of the first message of the user."""
FRAME_BYTES_MAX = 512
"""Of tools and system text each: their ends may change with every turn."""
FIRST_ENTRIES_MAX = 8
"""Among so many entries at the start of a conversation the user's first is looked for."""

SESSION_HEADERS = (
    b"x-claude-code-session-id",
    b"session-id",
    b"session_id",
    b"x-session-id",
    b"x-session-affinity",
)
"""Claude Code; Codex and its older versions; OpenCode."""
CONVERSATION: Mapping[Dialect, str] = {
    Dialect.OPENAI_CHAT: "messages",
    Dialect.OPENAI_RESPONSES: "input",
    Dialect.ANTHROPIC_MESSAGES: "messages",
    Dialect.GEMINI: "contents",
}
FRAME = ("tools", "system", "instructions", "systemInstruction", "system_instruction")

Fingerprint = bytes
Scope = tuple[KeyId, str]
"""The caller's key and the model's id: names of other callers mean other conversations."""

_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_list = msgspec.json.Decoder(list[msgspec.Raw])


class _Metadata(msgspec.Struct, gc=False):
    user_id: str = ""


class _Entry(msgspec.Struct, gc=False):
    role: str = ""


class _Kept(msgspec.Struct, gc=False):
    target: str
    key: int
    since_s: float
    at_s: float


_metadata = msgspec.json.Decoder(_Metadata)
_entry = msgspec.json.Decoder(_Entry)


def fingerprint(request: Request, scope: Scope, header: Callable[[bytes], bytes]) -> Fingerprint:
    """What tells the conversation of REQUEST from others: the id that its client gives it, else how it starts.

    HEADER gives a field of the request's head, b"" where it is not there.
    """
    name = _named(request, header)
    return _hash(scope, *name) if name is not None else _hash(scope, b"start", *_start(request))


def fingerprint_of_answer(scope: Scope, answer_id: str) -> Fingerprint:
    """That of the request which will continue the answer ANSWER_ID by `previous_response_id` alone."""
    return _hash(scope, b"previous_response_id", msgspec.json.encode(answer_id))


class Stickiness:
    """The conversations that this process saw, the latest last."""

    def __init__(self) -> None:
        self._kept: dict[Fingerprint, _Kept] = {}

    def keep_together(self, call: Call, bill: "Bill", ways: tuple[Way, ...]) -> tuple[Way, ...]:
        """WAYS in the order that the call's conversation is to try them; the bill knows which key of the first."""
        assert bill.request is not None and bill.model is not None
        now_s = coarse.monotonic_s
        bill.conversation = fingerprint(bill.request, (bill.payer.key_id, bill.model.id), call.head.get)
        ways = self.order(ways, bill.conversation, now_s)
        bill.key_number = self.key(bill.conversation, ways[0].target.name, ways[0].keys.size, now_s)
        return ways

    def stay(self, bill: "Bill", way: Way) -> None:
        """WAY answered the call's conversation, with the bill's key."""
        assert bill.conversation is not None
        self.remember(bill.conversation, way.target.name, coarse.monotonic_s, key=bill.key_number)

    def answered(self, bill: "Bill", way: Way, answer_id: str) -> None:
        """WAY gave ANSWER_ID: a request that continues it by that name alone goes there too, with the same key."""
        assert bill.model is not None
        conversation = fingerprint_of_answer((bill.payer.key_id, bill.model.id), answer_id)
        self.remember(conversation, way.target.name, coarse.monotonic_s, key=bill.key_number)

    def order(self, ways: tuple[Way, ...], conversation: Fingerprint, now_s: float) -> tuple[Way, ...]:
        """WAYS, in the order in which CONVERSATION is to try them: first where it was, while that is healthy.

        The rest keep their order, but that neighbours with weights share conversations by them. NOW_S is monotonic.
        """
        if len(ways) == 1:
            return ways
        if any(way.target.weight is not None for way in ways):
            ways = _shared(ways, conversation)
        kept = self._known(conversation, now_s)
        if kept is None or ways[0].target.name == kept.target or now_s - kept.since_s > AWAY_S_MAX:
            return ways
        first = [way for way in ways if way.target.name == kept.target and way.target.breaker.lets_through]
        return (*first, *(way for way in ways if way not in first)) if first else ways

    def remember(self, conversation: Fingerprint, target: str, now_s: float, *, key: int = 0) -> None:
        """TARGET ('provider:model') answered CONVERSATION, with the KEY of this number."""
        before = self._kept.pop(conversation, None)
        since_s = before.since_s if before is not None and before.target == target else now_s
        if len(self._kept) >= KEPT_MAX:
            del self._kept[next(iter(self._kept))]
        self._kept[conversation] = _Kept(target, key, since_s, now_s)

    def key(self, conversation: Fingerprint, target: str, keys: int, now_s: float) -> int:
        """The number of the key, of so many KEYS at TARGET's provider, that CONVERSATION is to use."""
        if keys == 1:
            return 0
        kept = self._known(conversation, now_s)
        if kept is not None and kept.target == target and kept.key < keys:
            return kept.key
        return max(range(keys), key=lambda number: _score(conversation, f"{target}#{number}", 1))

    def _known(self, conversation: Fingerprint, now_s: float) -> _Kept | None:
        kept = self._kept.get(conversation)
        if kept is not None and now_s - kept.at_s > IDLE_S:
            del self._kept[conversation]
            return None
        return kept


def _named(request: Request, header: Callable[[bytes], bytes]) -> tuple[bytes, bytes] | None:
    """The kind and value of the conversation's name: those that name it most closely come first."""
    fields = request.fields
    if (value := _text(fields, "prompt_cache_key")) is not None:
        return b"prompt_cache_key", value
    for field in SESSION_HEADERS:
        if value := header(field):
            return b"session", value
    if request.dialect is Dialect.ANTHROPIC_MESSAGES and "metadata" in fields and (value := _user(fields["metadata"])):
        return b"user_id", value
    for name in ("previous_response_id", "conversation", "cachedContent", "cached_content"):
        if (value := _text(fields, name)) is not None:
            return name.encode(), value
    if value := header(b"conversation_id"):
        return b"conversation_id", value
    value = _text(fields, "user")
    return None if value is None else (b"user", value)


def _text(fields: dict[str, msgspec.Raw], name: str) -> bytes | None:
    """The member as JSON; None where it is missing, null or empty."""
    value = bytes(fields[name]) if name in fields else b""
    return None if value in (b"", b"null", b'""', b"{}") else value


def _user(metadata: msgspec.Raw) -> bytes:
    try:
        return _metadata.decode(metadata).user_id.encode()
    except _UNREADABLE:
        return b""


def _start(request: Request) -> list[bytes]:
    """The beginning of what frames the conversation, and the user's first message: what no later turn changes."""
    fields = request.fields
    parts = [bytes(memoryview(fields[name])[:FRAME_BYTES_MAX]) for name in FRAME if name in fields]
    conversation = fields.get(CONVERSATION[request.dialect])
    if conversation is not None:
        parts.append(bytes(memoryview(_first_of_user(conversation))[:START_BYTES_MAX]))
    return parts


def _first_of_user(conversation: msgspec.Raw) -> msgspec.Raw:
    """CONVERSATION itself where it is one text; in Gemini's format a role may be missing, and means the user."""
    try:
        entries = _list.decode(conversation)[:FIRST_ENTRIES_MAX]
        users = (entry for entry in entries if _entry.decode(entry).role in ("user", ""))
        return next(users, conversation)
    except _UNREADABLE:
        return conversation


def _shared(ways: tuple[Way, ...], conversation: Fingerprint) -> tuple[Way, ...]:
    """WAYS with each run of neighbours that have weights in the order of their scores for CONVERSATION."""
    ordered: list[Way] = []
    run: list[Way] = []

    def end_run() -> None:
        run.sort(key=lambda way: -_score(conversation, way.target.name, way.target.weight or 1))
        ordered.extend(run)
        run.clear()

    for way in ways:
        if run and (way.target.weight is None or (way.bridge is None) != (run[0].bridge is None)):
            end_run()
        if way.target.weight is None:
            ordered.append(way)
        else:
            run.append(way)
    end_run()
    return tuple(ordered)


def _score(conversation: Fingerprint, name: str, weight: int) -> float:
    """Weighted rendezvous: of all names, the highest score wins as often as its weight says."""
    bits = int.from_bytes(hashlib.blake2b(name.encode(), key=conversation, digest_size=8).digest()) >> 12
    return -weight / math.log((bits + 0.5) / 2**52)


def _hash(scope: Scope, *parts: bytes) -> Fingerprint:
    """Lengths are hashed with the parts, so that none can pass for two."""
    whole = (scope[0].encode(), scope[1].encode(), *parts)
    lengths = b",".join(b"%d" % len(part) for part in whole)
    return hashlib.blake2b(b"".join((lengths, *whole)), digest_size=16).digest()
