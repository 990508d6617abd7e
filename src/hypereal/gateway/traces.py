"""What an operator's tracing is told of each call: facts for the control process, which makes spans of them.

A data process only writes them to a unix socket, in batches, and never waits: what the other side does not take in time
is dropped and counted. No fact is a prompt, an answer or a key.
"""

import re
import socket
from collections.abc import Iterable
from time import monotonic
from typing import TYPE_CHECKING

import msgspec

from hypereal.gateway.call import Call
from hypereal.gateway.routing import Way
from hypereal.kit.usage import Usage
from hypereal.ledger import Settlement
from hypereal.providers import request_to

if TYPE_CHECKING:
    from hypereal.gateway.bill import Bill
    from hypereal.gateway.plane import Plane

BATCH_MAX = 32
"""Calls in one datagram; the kernel takes some 200 KB."""
WAITING_MAX = 4096
"""Calls that wait for the control process; more are dropped."""
MODEL_CHARS_MAX = 200
TRACEPARENT_BYTES = 55

_traceparent = re.compile(rb"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}").fullmatch
_encode = msgspec.json.Encoder().encode


class TracedAttempt(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One request to one target."""

    provider: str
    model: str
    """As the provider names it."""
    address: str
    port: int
    """0 for a unix socket, whose path the address is."""
    status: int
    """0 where it did not answer."""
    after_ms: int
    """Since the call began."""
    ms: int


class TracedCall(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One call that is over."""

    request_id: str
    parent: str
    """The caller's `traceparent` (W3C Trace Context); '' where it sent none that can be read."""
    began_unix_s: float
    duration_s: float
    first_byte_s: float | None
    endpoint: str
    dialect: str
    generates: bool
    model: str
    response_model: str | None
    status: int
    error_type: str | None
    is_stream: bool
    owner_id: str
    key_id: str
    client: str
    attempts: int
    """All of them; `tried` may lack the one that was under way when the caller left."""
    tried: tuple[TracedAttempt, ...]
    usage: Usage | None
    settlement: Settlement | None


class Traces:
    """The facts of the calls of one data process, on their way to the control process at PATH."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._waiting: list[bytes] = []
        self.dropped = 0
        """Calls that were not told of."""

    def tell(self, call: Call, bill: "Bill", plane: "Plane") -> None:
        """CALL is over. Takes no await and raises nothing."""
        if len(self._waiting) >= WAITING_MAX:
            self.dropped += 1
            return
        try:
            self._waiting.append(_encode(_facts(call, bill, plane)))
        except UnicodeEncodeError:  # half a surrogate pair in the name of a model
            self.dropped += 1
        if len(self._waiting) >= BATCH_MAX:
            self.flush()

    def flush(self) -> None:
        """Send what waits, as far as the other side takes it now."""
        while batch := self._waiting[:BATCH_MAX]:
            try:
                self._socket.sendto(b"\n".join(batch), self._path)
            except OSError:  # it is full, or the control process starts again
                return
            del self._waiting[:BATCH_MAX]

    def close(self) -> None:
        """The last of them; what is not taken now is lost."""
        self.flush()
        self.dropped += len(self._waiting)
        self._socket.close()


read_datagram = msgspec.json.Decoder(TracedCall).decode_lines
"""The calls of one datagram. Raises msgspec.MsgspecError."""


def _facts(call: Call, bill: "Bill", plane: "Plane") -> TracedCall:
    facts, request, way, principal = call.facts, bill.request, bill.way, bill.principal
    now_s = monotonic()
    return TracedCall(
        request_id=call.request_id,
        parent=_parent(call),
        began_unix_s=call.began_s + plane.unix_minus_monotonic_s,
        duration_s=now_s - call.began_s,
        first_byte_s=call.first_byte_s - call.began_s if call.first_byte_s else None,
        endpoint=facts.endpoint,
        dialect="" if request is None else request.dialect,
        generates=facts.generates,
        model=bill.model.id if bill.model else request.model[:MODEL_CHARS_MAX] if request else "",
        response_model=None if way is None else _response_model(call, bill.answer),
        status=bill.status,
        error_type=bill.error_type,
        is_stream=request is not None and request.stream,
        owner_id="" if principal is None else principal.owner_id,
        key_id="" if principal is None else principal.key_id,
        client=facts.client,
        attempts=bill.attempts,
        tried=tuple(_tried(call, bill, plane, now_s)),
        usage=bill.usage,
        settlement=bill.settlement,
    )


def _parent(call: Call) -> str:
    sent = call.head.get(b"traceparent")
    return sent.decode() if len(sent) == TRACEPARENT_BYTES and _traceparent(sent) else ""


def _tried(call: Call, bill: "Bill", plane: "Plane", now_s: float) -> Iterable[TracedAttempt]:
    """The requests to targets, those that failed first."""
    failed = bill.tried or ()
    if failed:
        targets = {target.name: target for target in plane.routing.targets()}
        for one in failed:
            provider, _, model = one.target.partition(":")
            target = targets.get(one.target)
            base = "" if target is None else next(iter(target.provider.base_urls.values()))
            yield _attempt((provider, model, base), one.status, one.after_ms, one.ms)
    way = bill.way
    if way is not None and bill.attempts > len(failed):
        target, began_ms = way.target, int((call.asked_s - call.began_s) * 1000)
        status = call.upstream.head.status if call.upstream is not None and call.upstream.head is not None else 0
        named = (target.provider.name, target.model, _base(way))
        yield _attempt(named, status, began_ms, int((now_s - call.asked_s) * 1000))


def _attempt(named: tuple[str, str, str], status: int, after_ms: int, ms: int) -> TracedAttempt:
    provider, model, base = named
    at = request_to(base) if base else None
    return TracedAttempt(
        provider=provider,
        model=model,
        address="" if at is None else at.unix_path or at.host,
        port=0 if at is None else at.port,
        status=status,
        after_ms=after_ms,
        ms=ms,
    )


def _base(way: Way) -> str:
    return way.target.provider.base_urls[way.dialect]


class _Named(msgspec.Struct):
    model: str | None = None


class _Answer(msgspec.Struct, rename={"version": "modelVersion"}):
    """Where each dialect says which model answered, in a plain answer or in the first event of a stream."""

    model: str | None = None
    version: str | None = None
    message: _Named | str | None = None
    response: _Named | None = None


_answer = msgspec.json.Decoder(_Answer).decode


def _response_model(call: Call, answer: bytes) -> str | None:
    """The model that the upstream says has answered; None where it does not."""
    upstream = call.upstream
    said = answer or (upstream.first if upstream is not None and upstream.is_stream else b"")
    if not answer:
        _, _, said = said.partition(b"data:")
        said = said.partition(b"\n")[0]
    try:
        told = _answer(said)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    inner = told.message if isinstance(told.message, _Named) else told.response
    name = told.model or told.version or (inner.model if inner else None)
    return name[:MODEL_CHARS_MAX] if name else None
