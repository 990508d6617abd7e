"""What a batch says of a pool, and what the database answers."""

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from hypereal.ledger.pools import Pool


class Ask(msgspec.Struct, gc=False):
    """What one batch says of one pool."""

    pool: "Pool"
    charged: int
    returned: int
    need: int
    """What callers wait for."""
    least: int
    """Less than this helps none of them."""
    wish: int
    """What would spare the next callers the wait."""


class Standing(msgspec.Struct, frozen=True, gc=False):
    """The database's answer for one pool of a batch, micro-credits."""

    leased: int
    """By this process."""
    balance: int
    unleased: int
    """What is left to grant."""
    elsewhere: int
    """Leased by other processes."""
