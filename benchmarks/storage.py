"""A 1 GB output copied in: how fast, and by how much the process grows; and the same bytes up and down by links.

`python benchmarks/storage.py` from the root of the tree, on an embedded PostgreSQL, the disk, and an S3 server (nanio)
of its own. The site that is copied from is a process of its own.
"""

import asyncio
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # for tests.support

from tests.support.buckets import S3Server, section_of

from hypereal.accounts import create_user
from hypereal.kit import log
from hypereal.kit.db import Database
from hypereal.kit.outbound import Outbound, read_allowed
from hypereal.serve import migrate
from hypereal.serve.postgres import EmbeddedPostgres
from hypereal.storage import Copy, Storage, open_storage, store_output

SIZE = 1024**3
PIECE = bytes(64 * 1024)
GATE_MB = 64.0


async def site(port_file: Path) -> None:
    """Send SIZE bytes to whoever asks."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: %d\r\n\r\n" % SIZE)
        writer.write(b"\0\0\0\x18ftypisom" + PIECE[12:])
        for _ in range(SIZE // len(PIECE) - 1):
            writer.write(PIECE)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port_file.write_text(str(server.sockets[0].getsockname()[1]))  # noqa: ASYNC240
    await server.serve_forever()


async def measure(kind: str, s3: S3Server, folder: Path, url: str) -> int:
    """One place for bytes, in this process alone. The exit code."""
    database = Database(url)
    await database.open()
    storage = open_storage(database, section_of(kind, s3), folder, "0" * 32)
    outbound = Outbound(read_allowed(["127.0.0.1"]))
    owner_id = (await create_user(database, f"{kind}@example.com")).account_id
    port = int((folder / "port").read_text())
    await _copy(storage, outbound, owner_id, f"data:{kind}", small())
    before_mb = peak_mb()
    began_s = time.perf_counter()
    stored = await _copy(storage, outbound, owner_id, "large", f"http://127.0.0.1:{port}/")
    took_s = time.perf_counter() - began_s
    grown_mb = peak_mb() - before_mb
    began_s = time.perf_counter()
    read = 0
    async for piece in storage.read(stored):
        read += len(piece)
    read_s = time.perf_counter() - began_s
    is_right = read == stored.size_bytes == SIZE and grown_mb <= GATE_MB
    print(
        f"{kind:4}  copied in {took_s:5.1f} s ({SIZE / took_s / 1e6:4.0f} MB/s), grew by {grown_mb:5.1f} MB"
        f" (gate {GATE_MB:.0f}); read in {read_s:4.1f} s ({SIZE / read_s / 1e6:4.0f} MB/s)"
    )
    await outbound.close()
    await storage.bucket.close()
    await database.close()
    return 0 if is_right else 1


async def small() -> AsyncIterator[bytes]:
    """Something to warm up with."""
    yield PIECE


async def _copy(storage: Storage, outbound: Outbound, owner_id: str, name: str, source: object) -> object:
    return await store_output(storage, outbound, owner_id, source, Copy(name=name, filename="clip.mp4"))  # type: ignore[arg-type]


def peak_mb() -> float:
    """The most that this process has had in memory."""
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def main() -> int:
    """The exit code."""
    if sys.argv[1:2] == ["site"]:
        asyncio.run(site(Path(sys.argv[2])))
        return 0
    folder = Path(tempfile.mkdtemp(prefix="hypereal-storage-"))
    s3 = S3Server()
    postgres = EmbeddedPostgres(folder)
    sender = subprocess.Popen([sys.executable, __file__, "site", str(folder / "port")])
    try:
        with asyncio.Runner() as runner:
            url = runner.run(postgres.start())
            migrate.up(url)
            codes = [runner.run(measure(kind, s3, folder, url)) for kind in ("disk", "s3")]
            runner.run(postgres.stop())
        return max(codes)
    finally:
        sender.terminate()
        sender.wait()
        s3.close()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    log.configure(process="bench", level="error")
    raise SystemExit(main())
