"""The control process's side: hears of bodies over a unix socket, and writes them in batches.

Nothing waits for it but the data processes' senders: while the database is away it reads no further, and what they then
have no room for is dropped and counted there.
"""

import asyncio
from contextlib import suppress
from pathlib import Path

import asyncpg
import msgspec

from hypereal.kit import log
from hypereal.kit.db import UNREACHABLE
from hypereal.ledger.request_log.bodies.bodies import Bodies
from hypereal.ledger.request_log.bodies.recorded import FRAME_BYTES_MAX, LENGTH_BYTES, Recorded, read_message

WAITING_MAX = 16
"""Calls that are read and not written yet: of FRAME_BYTES_MAX each."""
BATCH_MAX = 16
RETRY_S = 1.0
CLOSE_S_MAX = 2.0


class Receiver:
    """Listens at PATH from `start` to `stop`."""

    def __init__(self, bodies: Bodies, path: str) -> None:
        self._bodies = bodies
        self._path = Path(path)
        self._waiting: asyncio.Queue[Recorded] = asyncio.Queue(WAITING_MAX)
        self._readers: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server
        self._writer: asyncio.Task[None]
        self.dropped = 0
        """Calls whose bodies were refused: their owner has had its share of the day, or the database would not."""

    async def start(self) -> None:
        """Listen, and write in the background."""
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._accept, self._path, limit=FRAME_BYTES_MAX)
        self._path.chmod(0o600)
        self._writer = asyncio.get_running_loop().create_task(self._keep_writing())

    async def stop(self) -> None:
        """Write what was read, for CLOSE_S_MAX at most."""
        self._server.close()
        for reader in self._readers:
            reader.cancel()
        self._path.unlink(missing_ok=True)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._waiting.join(), CLOSE_S_MAX)
        self._writer.cancel()
        await asyncio.gather(self._writer, *self._readers, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._hear(reader, writer))
        self._readers.add(task)
        task.add_done_callback(self._readers.discard)

    async def _hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read one data process to its end."""
        try:
            while True:
                length = int.from_bytes(await reader.readexactly(LENGTH_BYTES), "big")
                if length > FRAME_BYTES_MAX:
                    raise msgspec.ValidationError(f"a message of {length} bytes")
                await self._waiting.put(read_message(await reader.readexactly(length)))
        except (asyncio.IncompleteReadError, OSError):
            pass  # it has ended
        except msgspec.MsgspecError as error:
            log.get("bodies").error("a data process is not understood", error=str(error))
        finally:
            writer.close()

    async def _keep_writing(self) -> None:
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < BATCH_MAX and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            await self._write(batch)
            for _ in batch:
                self._waiting.task_done()

    async def _write(self, batch: list[Recorded]) -> None:
        while True:
            try:
                self.dropped += await self._bodies.keep(batch)
            except UNREACHABLE as error:
                log.get("bodies").warning("bodies wait", count=len(batch), error=str(error))
                await asyncio.sleep(RETRY_S)
            except asyncpg.PostgresError as error:
                log.get("bodies").error("bodies are lost", count=len(batch), error=str(error))
                self.dropped += len(batch)
                return
            else:
                return
