"""TLS towards upstreams over any asyncio transport, by `ssl.SSLObject`: full certificate checks, ALPN http/1.1 only.

Cheaper per call than the loop's own TLS, and it tells a clean end (close_notify) from a cut, which HTTP needs.
"""

import asyncio
import ssl
from typing import Protocol, cast

READ_BYTES = 256 * 1024


class Inner(Protocol):
    """What speaks HTTP above the encryption."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None: ...
    def data_received(self, data: bytes) -> None: ...
    def connection_lost(self, exc: Exception | None) -> None: ...
    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...


class CutShort(ConnectionError):
    """The peer closed without close_notify: what came may not be all of it."""


def client_context(ca_file: str | None = None) -> ssl.SSLContext:
    """The system's trust (or CA_FILE's), TLS 1.2 or newer, host names checked, ALPN http/1.1."""
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


class TlsClient(asyncio.Protocol):
    """The protocol on the socket; INNER gets a `TlsTransport` once the handshake is done."""

    __slots__ = ("_in", "_inner", "_is_closed_by_peer", "_is_open", "_out", "_ready", "_tls", "_transport")

    def __init__(self, inner: Inner, context: ssl.SSLContext, host: str, loop: asyncio.AbstractEventLoop) -> None:
        self._inner = inner
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=host)
        self._transport: asyncio.Transport
        self._is_open = False
        self._is_closed_by_peer = False
        self._ready: asyncio.Future[None] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        self._handshake()

    def data_received(self, data: bytes) -> None:
        self._in.write(data)
        if not self._is_open:
            self._handshake()
            if not self._is_open:
                return
        self._read()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._ready.done():
            self._ready.set_exception(exc or ConnectionError("closed during the TLS handshake"))
        elif self._is_open:
            self._inner.connection_lost(exc or (None if self._is_closed_by_peer else CutShort("no close_notify")))

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    async def opened(self) -> None:
        """Wait for the handshake. Raises ssl.SSLError or OSError; then, and when cancelled, the socket is closed."""
        try:
            await self._ready
        except BaseException:
            self._transport.abort()
            raise

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send."""
        if data:
            self._tls.write(data)
            self._flush()

    def close(self) -> None:
        """Say close_notify and close."""
        if self._is_open and not self._transport.is_closing():
            try:
                self._tls.unwrap()
            except ssl.SSLError:
                pass
            self._flush()
        self._transport.close()

    def _handshake(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLError as error:
            self._flush()
            if not self._ready.done():
                self._ready.set_exception(error)
            self._transport.close()
            return
        self._flush()
        self._is_open = True
        self._inner.connection_made(TlsTransport(self, self._transport))
        if not self._ready.done():
            self._ready.set_result(None)

    def _read(self) -> None:
        while not self._transport.is_closing():
            try:
                data = self._tls.read(READ_BYTES)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLZeroReturnError:
                data = b""
            except ssl.SSLError:
                self._transport.abort()
                return
            if not data:
                self._is_closed_by_peer = True
                self._transport.close()
                return
            self._inner.data_received(data)
        self._flush()

    def _flush(self) -> None:
        data = self._out.read()
        if data:
            self._transport.write(data)


class TlsTransport(asyncio.Transport):
    """What the inner protocol writes to. Pausing pauses the socket, so encrypted bytes wait in the kernel."""

    def __init__(self, tls: TlsClient, socket_transport: asyncio.Transport) -> None:
        super().__init__()
        self._tls = tls
        self._socket = socket_transport

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._tls.write(data)

    def writelines(self, list_of_data: "object") -> None:
        for data in list_of_data:  # type: ignore[attr-defined]
            self._tls.write(data)

    def is_closing(self) -> bool:
        return self._socket.is_closing()

    def close(self) -> None:
        self._tls.close()

    def abort(self) -> None:
        self._socket.abort()

    def pause_reading(self) -> None:
        self._socket.pause_reading()

    def resume_reading(self) -> None:
        self._socket.resume_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._socket.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        return self._socket.get_write_buffer_size()
