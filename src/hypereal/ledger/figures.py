"""What operators are told of a ledger."""

import msgspec


class SpoolFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How a process's spool fares."""

    state: str = "ok"
    """'ok', or why nothing is written: then the process bills from memory."""
    waiting_bytes: int = 0
    """Written, and not acknowledged by the database."""
    segments: int = 0
    acked_age_s: float = 0.0
    """Seconds since the database last acknowledged a batch."""
    quarantined: int = 0
    """Files of this data folder that were moved aside because they were damaged."""
