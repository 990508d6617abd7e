"""What one statement carries from a process's books to the database."""

from typing import Protocol

import msgspec

from hypereal.kit.ids import AccountId, PoolId, ProcessId
from hypereal.kit.money import Micro
from hypereal.ledger import rows
from hypereal.ledger.asks import Ask
from hypereal.ledger.holds import Ticket
from hypereal.ledger.pools import Pool


class Journal(Protocol):
    """Where a settled call is written before its reply ends: a spool."""

    position: int

    def append(self, record: bytes) -> int:
        """Write RECORD; the position after it."""

    def has(self, end: int) -> bool:
        """Whether the record that ends at END was written, so that others can settle it."""


class Line(msgspec.Struct, gc=False):
    """A settled call on its way: its record (`rows.record`), which ends at position `end`, and its charge."""

    record: bytes
    end: int
    charged: int = 0
    pools: tuple[Pool, ...] = ()
    is_late: bool = False
    """Its lease was gone when it was settled: the database decides what is charged."""


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """All that happened between two positions of the journal. It is applied where the database is at `start`."""

    start: int
    end: int
    asks: list[Ask]
    limits: list[tuple[PoolId, AccountId, Micro]]
    """Keys' months whose pool is new here or whose limit changed: pool, owner, limit."""
    lines: list[Line]
    tickets: list[Ticket]


def arguments(process_id: ProcessId, batch: Batch, live_s: float, *, is_careful: bool = False) -> tuple[object, ...]:
    """The parameters of `store.FLUSH`. IS_CAREFUL: the log's table may refuse rows; the others are kept."""
    late = [line.record for line in batch.lines if line.is_late]
    records = [line.record for line in batch.lines if not line.is_late]
    return (
        process_id,
        batch.start,
        batch.end,
        live_s,
        [ask.pool.id for ask in batch.asks],
        [ask.charged for ask in batch.asks],
        [ask.returned for ask in batch.asks],
        [ask.need for ask in batch.asks],
        [ask.least for ask in batch.asks],
        [ask.wish for ask in batch.asks],
        rows.limits_document(batch.limits) if batch.limits else None,
        rows.document(records),
        rows.document(late) if late else None,
        is_careful,
    )


def late_again(line: Line, journal: Journal) -> Line:
    """LINE in another JOURNAL, where what it charged is leased no more."""
    if not line.charged:
        return Line(line.record, journal.append(line.record), is_late=line.is_late)
    record = rows.late(line.record)
    return Line(record, journal.append(record), is_late=True)
