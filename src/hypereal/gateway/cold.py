"""Everything that is not a hot route: relayed, both ways as it comes, to the control process on its unix socket."""

from typing import TYPE_CHECKING

from hypereal.gateway.answers import error_answer
from hypereal.gateway.call import Call, ClientGone
from hypereal.gateway.refusals import as_error
from hypereal.kit.dialects import Dialect
from hypereal.kit.errors import HyperealError, Overloaded
from hypereal.net import LAST_CHUNK, REASONS, Malformed, Upstream, UpstreamLost, chunk

if TYPE_CHECKING:
    from hypereal.gateway.plane import Plane

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"content-length",
        b"expect",
        b"forwarded",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-proto",
        b"x-request-id",
    }
)
"""Fields that end here. What the control process is told of the client, it is told by us alone."""
SILENCE_S_MAX = 700.0
"""Above the longest wait that a cold route promises (10 minutes)."""


class _Body:
    """The request's body on its way to UPSTREAM. `is_sent`: all of it went there."""

    def __init__(self, call: Call, upstream: Upstream) -> None:
        self._is_chunked = call.head.is_chunked
        self._upstream = upstream
        self.is_sent = False

    def put(self, piece: bytes) -> None:
        """Pass PIECE on; the last one is b''."""
        upstream = self._upstream
        if upstream.is_closed or upstream.is_done:
            return  # it answered without reading all of it
        upstream.silent_s = 0  # it listens: an upload may take as long as it moves
        self.is_sent = not piece
        if self._is_chunked:
            upstream.transport.write(chunk(piece) if piece else LAST_CHUNK)
        elif piece:
            upstream.transport.write(piece)


async def relay_cold(call: Call, plane: "Plane") -> None:
    """The life of a call that the control process serves."""
    body = None
    try:
        upstream = plane.control.take()
        if upstream is None:
            upstream = await call.aside(plane.control.connect())
        call.upstream = upstream
        call.silence_s_max = SILENCE_S_MAX
        upstream.send(
            call, _head(call, plane.trusted_proxies), b"", streams=True, is_head_request=call.head.method == b"HEAD"
        )
        upstream.source = call.connection
        body = _Body(call, upstream)
        call.connection.stream_body(body.put)
        await call.wait()
        assert upstream.head is not None
        call.is_started = True
        upstream.relay_bytes(call.connection.transport, _answer_head(call, upstream))
        if call.connection.is_out_paused:
            upstream.pause()
        if not upstream.is_done:
            await call.wait()
    except UpstreamLost:
        _refuse(call, Overloaded("This part of the service is restarting. Try again in a moment.", retry_after_s=1))
    except (HyperealError, Malformed) as error:
        _refuse(call, error)
    except ClientGone:
        pass
    finally:
        if call.upstream is not None and body is not None and not body.is_sent:
            call.upstream.transport.abort()  # it waits for the rest of the body, and would take the next request for it
        call.finish()


def _head(call: Call, trusted_proxies: frozenset[str]) -> bytes:
    head = call.head
    target = head.path + b"?" + head.query if head.query else head.path
    lines = [b"%s %s HTTP/1.1" % (head.method, target)]
    lines += [b"%s: %s" % field for field in head.fields if field[0].lower() not in HOP_BY_HOP]
    peer = call.connection.transport.get_extra_info("peername")
    client = client_address(peer[0] if peer else "", head.get(b"x-forwarded-for"), trusted_proxies)
    lines.append(b"x-forwarded-for: " + client)
    lines.append(b"x-request-id: %s" % call.request_id.encode())
    if head.is_chunked:
        lines.append(b"transfer-encoding: chunked")
    elif call.connection.length or head.method in (b"POST", b"PUT", b"PATCH"):
        lines.append(b"content-length: %d" % call.connection.length)
    return b"\r\n".join(lines) + b"\r\n\r\n"


def client_address(peer: str, forwarded: bytes, trusted_proxies: frozenset[str]) -> bytes:
    """Who asks: PEER, or whom a trusted proxy names last. `unknown` where a proxy that nobody trusts stands between."""
    if not forwarded and peer:
        return peer.encode()
    return forwarded.rpartition(b",")[2].strip() if peer in trusted_proxies else b"unknown"


def _answer_head(call: Call, upstream: Upstream) -> bytes:
    answer = upstream.head
    assert answer is not None
    lines = [b"HTTP/1.1 %d %s" % (answer.status, REASONS.get(answer.status, b"Unknown"))]
    lines += [b"%s: %s" % field for field in answer.fields if field[0].lower() not in HOP_BY_HOP]
    if answer.length >= 0:
        lines.append(b"content-length: %d" % answer.length)
    elif answer.status not in (204, 304) and call.head.method != b"HEAD":
        lines.append(b"transfer-encoding: chunked")
    if not call.connection.keeps_alive:
        lines.append(b"connection: close")
    request_id = call.request_id.encode()
    lines += [b"x-request-id: %s" % request_id, b"request-id: %s" % request_id]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _refuse(call: Call, cause: HyperealError | Malformed) -> None:
    """Before the answer began: as an answer. After it: cut, since a part of an answer must not look whole."""
    connection = call.connection
    if connection.is_closed:
        return
    if call.is_started:
        connection.abort()
    else:
        connection.transport.write(error_answer(call, as_error(cause), Dialect.OPENAI_CHAT, None))
