"""What the calls of a key ask and are answered, for keys that want it kept: copied as it passes, sent to the control
process, which redacts, encrypts and stores it.

The client's transport is replaced by one that keeps a copy, so that nothing stands in the way of any other key's calls.
No call waits: what the control process does not take in time is dropped and counted.
"""

import asyncio
from collections import deque
from typing import cast

from hypereal.accounts import Principal
from hypereal.gateway.call import Call
from hypereal.kit import log
from hypereal.ledger import PART_BYTES_MAX, Recorded, frame_of

WAITING_BYTES_MAX = 32 * 1024 * 1024
"""What is not sent yet. More is dropped."""
RETRY_S = 1.0
CLOSE_S_MAX = 2.0


class Recorder:
    """The client's transport, which keeps the first PART_BYTES_MAX of what is written."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.pieces: list[bytes] = []
        self.left_bytes = PART_BYTES_MAX
        self.is_cut = False

    def __getattr__(self, name: str) -> object:
        return getattr(self.transport, name)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """To the client, and kept."""
        self.transport.write(data)
        size_bytes = len(data)
        if size_bytes > self.left_bytes:
            data, self.is_cut = data[: self.left_bytes], True
        if data:
            self.pieces.append(bytes(data))
            self.left_bytes -= len(data)


class Recording:
    """The bodies of one data process's calls, on their way to the control process at PATH; '': nobody takes them."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._sender: asyncio.Task[None] | None = None
        self._stream: asyncio.StreamWriter | None = None
        self.dropped = 0
        """Calls whose bodies should have been kept and were lost here."""

    def begin(self, call: Call) -> None:
        """Keep what CALL's client gets from now on."""
        if self._path:
            call.recorder = recorder = Recorder(call.connection.transport)
            call.connection.transport = cast(asyncio.Transport, recorder)

    def keep(self, call: Call, principal: Principal) -> None:
        """CALL is over, and its request's body still there. Takes no await and raises nothing."""
        recorder, body = call.recorder, call.connection.body
        assert recorder is not None and principal.bodies_days is not None
        call.connection.transport = recorder.transport
        frame = frame_of(
            Recorded(
                request_id=call.request_id,
                owner_id=principal.owner_id,
                key_id=principal.key_id,
                kept_days=principal.bodies_days,
                request=bytes(body[:PART_BYTES_MAX]),
                request_is_cut=len(body) > PART_BYTES_MAX,
                answer=b"".join(recorder.pieces),
                answer_is_cut=recorder.is_cut,
            )
        )
        if self._waiting_bytes + len(frame) > WAITING_BYTES_MAX:
            self.dropped += 1
            return
        self._waiting.append(frame)
        self._waiting_bytes += len(frame)
        if self._sender is None:
            self._begin_sending()

    async def close(self) -> None:
        """Send what waits, for CLOSE_S_MAX at most."""
        if self._sender is not None:
            await asyncio.wait({self._sender}, timeout=CLOSE_S_MAX)
        if self._sender is not None:
            self._sender.cancel()
        self.dropped += len(self._waiting)
        if self._stream is not None:
            self._stream.close()

    def _begin_sending(self) -> None:
        self._sender = asyncio.get_running_loop().create_task(self._send())
        self._sender.add_done_callback(self._sent)

    async def _send(self) -> None:
        while self._waiting:
            try:
                if self._stream is None:
                    _, self._stream = await asyncio.open_unix_connection(self._path)
                self._stream.write(self._waiting[0])
                await self._stream.drain()
            except OSError as error:  # the control process starts again
                log.get("gateway").warning("bodies wait", count=len(self._waiting), error=str(error))
                self._hang_up()
                await asyncio.sleep(RETRY_S)
            else:
                self._waiting_bytes -= len(self._waiting.popleft())

    def _hang_up(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _sent(self, sender: "asyncio.Task[None]") -> None:
        self._sender = None
        if sender.cancelled():
            return
        if (failure := sender.exception()) is not None:  # the next `keep` starts another
            log.get("gateway").error("the sender of bodies failed", exc_info=failure)
            self._hang_up()
        elif self._waiting:  # kept between its last look and now
            self._begin_sending()
