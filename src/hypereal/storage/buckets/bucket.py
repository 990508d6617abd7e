"""What every place for bytes can do. A key is `owner/kind/id/name`, of plain ASCII letters, made by us alone."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Protocol

import msgspec


class Stat(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes that are there."""

    size_bytes: int
    etag: str
    """Without its quotes."""


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a bucket by a URL that is good by itself, for EXPIRES_S."""

    method: str
    key: str
    expires_s: int
    size_bytes: int | None = None
    """Of a PUT: exactly so many."""
    content_type: str | None = None
    """Of a GET: what the answer is to be called."""
    disposition: str | None = None
    part: tuple[str, int] | None = None
    """Of a PUT: which upload's part, and its number from 1."""


class Direct(Protocol):
    """A bucket that callers reach themselves, by signed URLs."""

    def link(self, link: Link) -> str:
        """The URL."""

    async def begin_parts(self, key: str, content_type: str) -> str:
        """The id of a new upload in parts. Raises BucketAway."""

    async def complete_parts(self, key: str, upload_id: str) -> None:
        """Make one object of the parts that came. Raises BucketAway, InvalidRequest where they make none."""

    async def drop_parts(self, key: str, upload_id: str) -> None:
        """Forget an upload in parts, if it is there. Raises BucketAway."""


class Bucket(Protocol):
    """One place. Everything raises BucketAway where it does not answer."""

    direct: Direct | None
    """None: what comes and goes passes through us."""

    async def put(self, key: str, file: Path, content_type: str) -> Stat:
        """Take what FILE holds, whole or not at all; FILE may be gone afterwards."""

    async def stat(self, key: str) -> Stat | None:
        """What is at KEY; None where there is nothing."""

    def read(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Bytes START to END (which is not one of them) of what is at KEY. Raises NotFound where there is nothing."""

    async def delete(self, keys: Sequence[str]) -> None:
        """See that nothing is at KEYS."""

    async def close(self) -> None:
        """Let go of connections."""
