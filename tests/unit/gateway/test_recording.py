"""Bodies on their way to the control process: a copy of what passes, never waited for, bounded, counted where lost."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.processes import short_folder

from hypereal.gateway import recording as module
from hypereal.gateway.recording import Recording
from hypereal.ledger import PART_BYTES_MAX
from hypereal.ledger.request_log.bodies.recorded import LENGTH_BYTES, Recorded, read_message

PRINCIPAL: Any = SimpleNamespace(owner_id="acc_1", key_id="key_1", bodies_days=7)


class Transport:
    """Where a client would read."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return False


class Listener:
    """The control process's end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.heard: list[Recorded] = []
        self._server: asyncio.Server

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._hear, self.path, limit=2**22)

    async def _hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                length = int.from_bytes(await reader.readexactly(LENGTH_BYTES), "big")
                self.heard.append(read_message(await reader.readexactly(length)))
        except asyncio.IncompleteReadError:
            writer.close()

    async def wait(self, count: int) -> list[Recorded]:
        async with asyncio.timeout(30):
            while len(self.heard) < count:
                await asyncio.sleep(0.001)
        return self.heard

    def close(self) -> None:
        self._server.close()


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    with short_folder() as folder:
        listening = Listener(folder / "bodies.sock")
        await listening.start()
        yield listening
        listening.close()


def call(body: bytes = b"{}") -> Any:
    connection = SimpleNamespace(transport=Transport(), body=body)
    return SimpleNamespace(request_id="req_1", connection=connection, recorder=None)


async def test_the_client_gets_every_byte_and_a_copy_goes_on(listener: Listener) -> None:
    recording, one = Recording(str(listener.path)), call(b'{"a":1}')
    transport = one.connection.transport
    recording.begin(one)
    assert not one.connection.transport.is_closing()
    for piece in (b"head", bytearray(b"abc"), memoryview(b"def")):
        one.connection.transport.write(piece)
    recording.keep(one, PRINCIPAL)
    assert one.connection.transport is transport
    assert transport.written == [b"head", b"abc", b"def"]
    [told] = await listener.wait(1)
    assert told == Recorded(
        request_id="req_1",
        owner_id=PRINCIPAL.owner_id,
        key_id=PRINCIPAL.key_id,
        kept_days=7,
        request=b'{"a":1}',
        request_is_cut=False,
        answer=b"headabcdef",
        answer_is_cut=False,
    )
    await recording.close()
    assert recording.dropped == 0


async def test_of_what_is_long_the_beginning_is_told(listener: Listener) -> None:
    recording, one = Recording(str(listener.path)), call(b"r" * (PART_BYTES_MAX + 1))
    recording.begin(one)
    for _ in range(3):
        one.connection.transport.write(b"a" * (PART_BYTES_MAX // 2 + 1))
    recording.keep(one, PRINCIPAL)
    [told] = await listener.wait(1)
    assert (len(told.request), told.request_is_cut) == (PART_BYTES_MAX, True)
    assert (len(told.answer), told.answer_is_cut) == (PART_BYTES_MAX, True)
    await recording.close()


async def test_nobody_who_listens_costs_bodies_beyond_a_bound_and_no_call(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAITING_BYTES_MAX", 10_000)
    monkeypatch.setattr(module, "RETRY_S", 0.001)
    listener.close()
    listener.path.unlink(missing_ok=True)
    recording = Recording(str(listener.path))
    for _ in range(30):
        one = call(bytes(1000))
        recording.begin(one)
        recording.keep(one, PRINCIPAL)
        await asyncio.sleep(0)
    assert recording.dropped == 21
    await listener.start()  # the control process is there again
    assert len(await listener.wait(9)) == 9
    await recording.close()
    assert recording.dropped == 21


async def test_where_nobody_takes_bodies_nothing_is_copied() -> None:
    recording, one = Recording(""), call()
    transport = one.connection.transport
    recording.begin(one)
    assert one.connection.transport is transport
    assert one.recorder is None
