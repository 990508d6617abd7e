"""One HTTP exchange over ASGI: a bounded body in, an answer out, and the word that the caller has left."""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any

import msgspec
from starlette.types import Message, Receive, Send

from hypereal.kit import ids
from hypereal.kit.errors import HyperealError, RequestTooLarge

BODY_BYTES_MAX = 40 * 1024 * 1024


class ClientGone(Exception):
    """The caller closed the connection; nobody reads the answer."""


class Exchange:
    """What an endpoint needs of ASGI."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self.has_started = False

    async def body(self) -> bytearray:
        """The whole body. Raises RequestTooLarge over 40 MiB, ClientGone."""
        body = bytearray()
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > BODY_BYTES_MAX:
                raise RequestTooLarge(f"The body is over {BODY_BYTES_MAX} bytes.")
        return body

    async def while_wanted(self, work: Coroutine[Any, Any, None]) -> None:
        """Do WORK, which is cancelled when the caller leaves: then raises ClientGone. The body has been read."""
        doing, leaving = asyncio.create_task(work), asyncio.create_task(self._left())
        try:
            await asyncio.wait({doing, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not doing.done():
                raise ClientGone
            doing.result()
        finally:
            doing.cancel()
            leaving.cancel()
            await asyncio.gather(doing, leaving, return_exceptions=True)

    async def start(self, status: int, headers: Mapping[str, str]) -> None:
        """Send the head."""
        self.has_started = True
        lines = [(name.encode(), value.encode()) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": lines})

    async def write(self, part: bytes) -> None:
        """Send a part of a stream."""
        await self._send({"type": "http.response.body", "body": part, "more_body": True})

    async def end(self, part: bytes = b"") -> None:
        """Send the last part."""
        await self._send({"type": "http.response.body", "body": part})

    async def json(self, status: int, body: object, headers: Mapping[str, str]) -> None:
        """Send a whole answer."""
        content = msgspec.json.encode(body)
        length = {"content-length": str(len(content))}
        await self.start(status, {"content-type": "application/json", **length, **headers})
        await self.end(content)

    async def refuse(self, error: HyperealError) -> None:
        """Send ERROR, in the shape that clients of every dialect read."""
        members = {"type": error.type, "message": error.message, "code": error.code, "param": error.param}
        body = {"type": "error", "error": members | error.details, "request_id": ids.new_request_id()}
        await self.json(error.status, body, error.headers)

    async def _left(self) -> Message:
        while (message := await self._receive())["type"] != "http.disconnect":
            pass
        return message
