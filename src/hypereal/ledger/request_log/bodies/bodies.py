"""Bodies on their way into the database, redacted and encrypted for their owner, and the way back."""

import asyncio
from collections.abc import Sequence
from datetime import date, timedelta

import msgspec

from hypereal.kit.clock import utc_now
from hypereal.kit.db import Database
from hypereal.kit.ids import AccountId
from hypereal.kit.sealing import Sealer
from hypereal.kit.settings import RequestLog
from hypereal.ledger.request_log.bodies import store
from hypereal.ledger.request_log.bodies.recorded import Recorded
from hypereal.ledger.request_log.bodies.redaction import redacted
from hypereal.ledger.request_log.bodies.unframing import body_of

PURPOSE = b"hypereal bodies 1"
"""The number is that of the format."""
MIB = 1024 * 1024


class _Content(msgspec.Struct, frozen=True, kw_only=True):
    """What is encrypted."""

    request: str
    request_is_cut: bool
    answer: str
    answer_is_cut: bool


class Kept(_Content, frozen=True, kw_only=True):
    """The bodies of one call as they were kept."""

    kept_until: date
    """The last day (UTC) on which they are."""


class Bodies:
    """Written in batches, read one by one."""

    def __init__(self, database: Database, secret: str, settings: RequestLog) -> None:
        self._database = database
        self._sealer = Sealer(secret, PURPOSE)
        self._owner_bytes_max = settings.bodies_mb_per_day * MIB
        self._with_addresses = not settings.redact_emails

    async def keep(self, batch: Sequence[Recorded]) -> int:
        """Write BATCH; how many were not taken, since their owners have had their share of the day.

        Raises one of UNREACHABLE, PostgresError.
        """
        today = utc_now().date()
        rows = await asyncio.to_thread(self._sealed, batch, today)
        async with self._database.connection() as connection:
            return await store.add(connection, rows, today, self._owner_bytes_max)

    async def find(self, owner_id: AccountId, request_id: str) -> Kept | None:
        """The bodies of the owner's call; None where they were not kept, or are not any more. Raises UNREACHABLE."""
        async with self._database.connection() as connection:
            row = await store.find(connection, owner_id, request_id, utc_now().date())
        if row is None:
            return None
        opened = await asyncio.to_thread(self._sealer.open, owner_id, request_id, row["sealed"])
        if opened is None:  # another secret is in force: nobody can read it
            return None
        content = msgspec.json.decode(opened, type=_Content)
        return Kept(**msgspec.structs.asdict(content), kept_until=row["kept_until"])

    def _sealed(self, batch: Sequence[Recorded], today: date) -> list[store.Row]:
        """In a thread of its own: a megabyte takes some 100 ms."""
        return [self._row(recorded, today) for recorded in batch]

    def _row(self, recorded: Recorded, today: date) -> store.Row:
        request, request_is_cut = redacted(
            recorded.request, is_cut=recorded.request_is_cut, with_addresses=self._with_addresses
        )
        answer, answer_is_cut = redacted(
            body_of(recorded.answer), is_cut=recorded.answer_is_cut, with_addresses=self._with_addresses
        )
        content = _Content(request=request, request_is_cut=request_is_cut, answer=answer, answer_is_cut=answer_is_cut)
        return store.Row(
            request_id=recorded.request_id,
            owner_id=recorded.owner_id,
            key_id=recorded.key_id,
            kept_until=today + timedelta(days=recorded.kept_days),
            sealed=self._sealer.seal(recorded.owner_id, recorded.request_id, msgspec.json.encode(content)),
        )
