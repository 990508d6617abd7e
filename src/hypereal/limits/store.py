"""All SQL of the limits. What it does is the migration's function `rate_take`."""

import msgspec

from hypereal.kit.db import Connection
from hypereal.kit.ids import AccountId


class Slice(msgspec.Struct, frozen=True):
    """What a process got of an owner's window: `slice` requests, `used` by all with it, `left_s` until the end."""

    slice: int
    used: int
    left_s: float


async def take(connection: Connection, owner_id: AccountId, limit: int, wanted: int, shares: int) -> Slice:
    """Take the greater of WANTED and a SHARES-th of what is left of this minute's LIMIT; 0 where nothing is."""
    row = await connection.fetchrow("SELECT * FROM rate_take($1, $2, $3, $4)", owner_id, limit, wanted, shares)
    assert row is not None
    return Slice(*row)
