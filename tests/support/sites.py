"""Sites of strangers: real servers on loopback that answer as badly as is wanted, and names that lead to them."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

Answer = bytes | Callable[[asyncio.StreamWriter, bytes], object]
"""Bytes as they go on the wire, or what writes them; it gets the head of the request."""

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8


class Site:
    """One server. `heads` are the requests that it got, `bodies` what they carried."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self.port = 0

    def says(self, path: str, body: bytes, content_type: str = "image/png", status: int = 200, **fields: str) -> None:
        """Answer PATH with BODY, whole."""
        self.answers[path] = answer(body, content_type, status, **fields)

    def redirects(self, path: str, to: str, status: int = 302) -> None:
        """Answer PATH with a redirect."""
        self.answers[path] = b"HTTP/1.1 %d Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % (status, to.encode())

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(OSError, asyncio.IncompleteReadError, ssl.SSLError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0] or 0)
                self.heads.append(head)
                self.bodies.append(await reader.readexactly(length))
                said = self.answers.get(head.split(b" ")[1].decode(), answer(b"", status=404))
                if isinstance(said, bytes):
                    writer.write(said)
                elif asyncio.iscoroutine(work := said(writer, head)):
                    await work
                await writer.drain()
                if writer.is_closing():
                    break
        writer.close()


def answer(body: bytes, content_type: str = "text/plain", status: int = 200, **fields: str) -> bytes:
    """A whole answer. Field names are given with underscores."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Type: {content_type}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@asynccontextmanager
async def site_at(host: str, port: int = 0, tls: ssl.SSLContext | None = None) -> AsyncIterator[Site]:
    """A site on a loopback address of its own; every 127.x.y.z is one."""
    site = Site()
    server = await asyncio.start_server(site.serve, host, port, ssl=tls)
    site.port = int(server.sockets[0].getsockname()[1])
    try:
        yield site
    finally:
        server.close()


class Names:
    """A resolver: each name has its answers in turn, the last of them for ever. `asked` is what was asked for."""

    def __init__(self, **answers: Sequence[Sequence[str]]) -> None:
        self.answers = {name.replace("_", "."): list(turns) for name, turns in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        turns = self.answers.get(host)
        if turns is None:
            raise OSError("no such name")
        return turns.pop(0) if len(turns) > 1 else turns[0]
