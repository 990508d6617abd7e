"""A client at the level of bytes: what it sends is what the test wrote, and what it reads is checked for framing."""

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

READ_S_MAX = 90.0


@dataclass(frozen=True)
class Answer:
    """One answer. Names of fields are in lower case."""

    status: int
    fields: list[tuple[str, str]]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> Any:
        return self.json["error"]

    @property
    def payloads(self) -> list[bytes]:
        """The data of each server-sent event."""
        blocks = self.body.replace(b"\r\n", b"\n").split(b"\n\n")
        lines = [line for block in blocks for line in block.split(b"\n") if line.startswith(b"data:")]
        return [line[5:].strip() for line in lines]

    @property
    def events(self) -> list[Any]:
        """The same, decoded; `[DONE]` left out."""
        return [json.loads(payload) for payload in self.payloads if payload != b"[DONE]"]

    def get(self, name: str) -> str | None:
        """The only field called NAME; fails where there are several."""
        found = [value for key, value in self.fields if key == name]
        assert len(found) <= 1, f"{name} stands there {len(found)} times"
        return found[0] if found else None

    @property
    def request_id(self) -> str:
        request_id = self.get("x-request-id")
        assert request_id is not None and request_id.startswith("req_")
        return request_id


class Raw:
    """One connection to a server of ours."""

    def __init__(self, url: str, *, receive_bytes: int | None = None) -> None:
        parts = urlsplit(url)
        self._socket = socket.socket()
        if receive_bytes is not None:  # before it connects, else the kernel has promised more
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self._socket.settimeout(READ_S_MAX)
        self._socket.connect((parts.hostname, parts.port))
        self._file = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def post(self, path: str, body: object, key: str = "", **fields: str) -> None:
        """Send a request; BODY is JSON unless it is bytes. Field names are given with underscores."""
        self.send(request("POST", path, body, key, **fields))

    def head(self) -> Answer:
        """Read a head; its body is left to be read."""
        line = self._file.readline()
        assert line, "the connection was closed instead"
        status = int(line.split(b" ", 2)[1])
        fields = []
        while (line := self._file.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            fields.append((name.lower(), value.strip()))
        assert line == b"\r\n", "cut inside the head"
        return Answer(status, fields, b"")

    def answer(self) -> Answer:
        """Read one whole answer. Fails where it is cut."""
        head = self.head()
        if head.status in (204, 304):
            return head
        if head.get("transfer-encoding") == "chunked":
            return Answer(head.status, head.fields, b"".join(self.chunks()))
        length = int(head.get("content-length") or -1)
        assert length >= 0, "no framing"
        body = self._file.read(length)
        assert len(body) == length, "cut inside the body"
        return Answer(head.status, head.fields, body)

    def chunks(self) -> Iterator[bytes]:
        """The payload of each chunk, up to the last. Fails where the body is cut."""
        while True:
            size = int(self._file.readline(), 16)
            payload = self._file.read(size)
            assert self._file.read(2) == b"\r\n", "cut inside a chunk"
            if not size:
                return
            yield payload

    def is_closed(self) -> bool:
        """Wait for the server's FIN or reset; False where it sends more instead."""
        try:
            return self._file.read(1) == b""
        except ConnectionError:
            return True

    def close(self) -> None:
        self._file.close()
        self._socket.close()


def request(method: str, path: str, body: object = b"", key: str = "", **fields: str) -> bytes:
    """A whole request."""
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "host: gateway.example"]
    lines += [f"authorization: Bearer {key}"] if key else []
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    lines += [f"content-length: {len(payload)}", "content-type: application/json"] if payload else []
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + payload


def call(url: str, path: str, body: object = b"", key: str = "", *, method: str = "POST", **fields: str) -> Answer:
    """One request on a connection of its own."""
    with Raw(url) as raw:
        raw.send(request(method, path, body, key, **fields))
        return raw.answer()
