"""What a stored object is, and the names and limits that it has."""

import re
from datetime import datetime
from enum import StrEnum

import asyncpg
import msgspec

from hypereal.kit.ids import AccountId, ObjectId

FILENAME_LENGTH_MAX = 200
GB = 10**9
MONTH_S = 30 * 24 * 3600
"""Of a GB-month: 30 days, whichever month it is."""

_unsafe = re.compile(r"[^A-Za-z0-9._-]+")


class Kind(StrEnum):
    """What an object is for (contract 3.6)."""

    DATASET = "dataset"
    WEIGHTS = "weights"
    LORA = "lora"
    OUTPUT = "output"
    INPUT = "input"


class StoredObject(msgspec.Struct, frozen=True, kw_only=True):
    """One object. While it is PENDING its bytes are still to come, and what is said of them is what was announced."""

    id: ObjectId
    owner_id: AccountId
    kind: Kind
    state: str
    key: str
    """Its place in the bucket."""
    filename: str
    content_type: str
    size_bytes: int | None
    sha256: str | None
    """In hex; None where the bytes did not pass through us."""
    etag: str | None
    parts_id: str | None
    """Of an upload in parts that is open."""
    is_final: bool
    """Whether nobody can put other bytes in its place any more."""
    upload_until: datetime
    created_at: datetime
    ready_at: datetime | None

    @property
    def is_ready(self) -> bool:
        """Whether its bytes are there."""
        return self.state == "ready"


class Sums(msgspec.Struct, frozen=True, kw_only=True):
    """What an owner has, and has had."""

    objects: int = 0
    size_bytes: int = 0
    reserved_bytes: int = 0
    """Announced, still to come."""
    byte_seconds: int = 0
    """Since the first object, up to now."""


def object_of(row: asyncpg.Record) -> StoredObject:
    """A row of the table."""
    facts = {name: row[name] for name in StoredObject.__struct_fields__}
    return StoredObject(**facts | {"kind": Kind(row["kind"])})


def plain_filename(given: str) -> str:
    """The last part of what may be a path, without what would break a line. Never empty."""
    name = "".join(letter for letter in re.split(r"[/\\]", given)[-1] if letter.isprintable()).strip(". ")
    return _shortened(name) or "file"


def key_of(owner_id: AccountId, kind: Kind, object_id: ObjectId, filename: str) -> str:
    """Where an object lies in its bucket: ASCII only, and never above the owner's own folder."""
    name = _unsafe.sub("_", filename).strip("._") or "file"
    return f"{owner_id}/{kind}/{object_id}/{_shortened(name)}"


def _shortened(name: str) -> str:
    """NAME with its ending, within bounds in characters and bytes."""
    while len(name) > FILENAME_LENGTH_MAX or len(name.encode("utf-8", "replace")) > FILENAME_LENGTH_MAX:
        stem, dot, ending = name.rpartition(".")
        name = stem[:-1] + dot + ending if stem and len(ending) < 20 else name[:-1]
    return name
