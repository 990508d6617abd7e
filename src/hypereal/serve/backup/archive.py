"""The file of a backup: a zip of each table's rows (COPY BINARY), the secret, and a manifest that tells of them.

The manifest is written last, so a file that was cut is none. Nothing is believed before its SHA-256 was checked.
"""

import hashlib
import os
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO

import msgspec

from hypereal.serve.faults import CannotServe

FORMAT = 1
MANIFEST = "manifest.json"
SECRET = "secret"
MANIFEST_BYTES_MAX = 16 * 1024 * 1024
SECRET_BYTES_MAX = 64 * 1024
CHUNK_BYTES = 256 * 1024
COMPRESSION = 1
"""zlib's fastest: rows shrink to a third, and most of the time goes into it."""

Tell = Callable[[str], None]
"""Shows what is being done."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the zip."""

    name: str
    size_bytes: int
    """Not compressed."""
    sha256: str


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A table's rows, in the order of COLUMNS."""

    name: str
    columns: tuple[str, ...]
    rows: int
    part: Part


class Partition(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of a partitioned table, as it has to be there before the rows come."""

    name: str
    parent: str
    bound: str
    """`FOR VALUES FROM ('2026-11-26 00:00:00+00') TO ('2026-11-27 00:00:00+00')`, or `DEFAULT`."""


class Sequence(msgspec.Struct, frozen=True, kw_only=True):
    """What numbers rows, and the last number it gave."""

    name: str
    last_value: int
    is_called: bool


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds."""

    format: int = FORMAT
    version: str
    """Of the hypereal that made it."""
    revision: str
    """Of the database's schema."""
    cluster_id: str
    taken_at: datetime
    postgres: str
    tables: tuple[Table, ...]
    partitions: tuple[Partition, ...]
    sequences: tuple[Sequence, ...]
    secret: Part | None = None

    @property
    def rows(self) -> dict[str, int]:
        """Row counts by table."""
        return {table.name: table.rows for table in self.tables}

    @property
    def size_bytes(self) -> int:
        """Of all rows, not compressed."""
        return sum(table.part.size_bytes for table in self.tables)


class _Format(msgspec.Struct):
    """What every manifest has, of whatever format."""

    format: int
    version: str


class Writer:
    """A backup that is being written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=COMPRESSION)

    @contextmanager
    def part(self, name: str) -> Iterator["PartWriter"]:
        """A part to write to; at the end of the block it is whole."""
        with self._zip.open(name, "w", force_zip64=True) as entry:
            yield PartWriter(name, entry)

    def finish(self, manifest: Manifest) -> None:
        """The rest of the file."""
        self._zip.writestr(MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=1))
        self._zip.close()


class PartWriter:
    """One part that is being written."""

    def __init__(self, name: str, entry: IO[bytes]) -> None:
        self._name = name
        self._entry = entry
        self._hash = hashlib.sha256()
        self.size_bytes = 0

    def write(self, content: bytes) -> None:
        """More of it."""
        self._hash.update(content)
        self._entry.write(content)
        self.size_bytes += len(content)

    @property
    def written(self) -> Part:
        """What was written so far."""
        return Part(name=self._name, size_bytes=self.size_bytes, sha256=self._hash.hexdigest())


@contextmanager
def created(path: Path) -> Iterator[Writer]:
    """A backup at PATH (mode 0600), which appears there once it is whole and on disk. Raises OSError."""
    fd, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # 0600 from the start
    new = Path(name)
    try:
        with open(fd, "wb") as file:
            yield Writer(file)
            file.flush()
            os.fsync(fd)
        new.replace(path)
    except BaseException:
        with suppress(OSError):
            new.unlink()
        raise


class Reader:
    """A backup to read from."""

    def __init__(self, path: Path, opened: zipfile.ZipFile) -> None:
        self._path = path
        self._zip = opened
        self.manifest = self._read_manifest()

    def chunks(self, part: Part) -> Iterator[bytes]:
        """What PART holds, piece by piece. Raises CannotServe where it is not what the manifest says."""
        seen, left = hashlib.sha256(), part.size_bytes
        with self._reading(), self._zip.open(part.name) as entry:
            while chunk := entry.read(CHUNK_BYTES):
                left -= len(chunk)
                seen.update(chunk)
                if left < 0:
                    break
                yield chunk
        if left or seen.hexdigest() != part.sha256:
            raise damaged(self._path, f"{part.name} is not what was saved")

    def secret(self) -> str | None:
        """What the saved installation encrypts with. Raises CannotServe."""
        part = self.manifest.secret
        if part is None:
            return None
        if part.size_bytes > SECRET_BYTES_MAX:
            raise damaged(self._path, "its secret is too long")
        return b"".join(self.chunks(part)).decode()

    def check(self, tell: Tell) -> None:
        """Read all of it once. Raises CannotServe where anything is not as it was saved."""
        for table in self.manifest.tables:
            tell(f"Checking {table.name}")
            for _ in self.chunks(table.part):
                pass
        self.secret()

    def _read_manifest(self) -> Manifest:
        with self._reading():
            if self._zip.getinfo(MANIFEST).file_size > MANIFEST_BYTES_MAX:
                raise damaged(self._path, "its manifest is too long")
            text = self._zip.read(MANIFEST)
            told = msgspec.json.decode(text, type=_Format)
            if told.format != FORMAT:
                raise CannotServe(
                    f"{self._path} was made by hypereal {told.version}, in a format that this one does not know. "
                    "Restore it with that version."
                )
            return msgspec.json.decode(text, type=Manifest)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except KeyError as error:
            raise damaged(self._path, f"it lacks a part: {error}") from None
        except (*UNREADABLE, msgspec.MsgspecError) as error:
            raise damaged(self._path, str(error) or type(error).__name__) from None


UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, struct.error, RuntimeError, ValueError)
"""What `zipfile` raises for a file that is not what it was: it has no error of its own for most."""


@contextmanager
def opened(path: Path) -> Iterator[Reader]:
    """The backup at PATH. Raises CannotServe where it is none, OSError where it cannot be read."""
    with path.open("rb") as file:
        try:
            archive = zipfile.ZipFile(file)
        except UNREADABLE:
            raise damaged(path, "it is no zip, or its end is missing") from None
        yield Reader(path, archive)


def damaged(path: Path, why: str) -> CannotServe:
    """What to say of a file that cannot be restored."""
    return CannotServe(f"{path} is not a whole backup of hypereal ({why}). Nothing was changed.")
