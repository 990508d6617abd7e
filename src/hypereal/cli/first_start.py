"""The first start of a data folder: an operator, a gift of credits, and a key that is shown once."""

from pathlib import Path

import msgspec

from hypereal import accounts, ledger
from hypereal.kit.db import Database
from hypereal.kit.money import MICRO_PER_CREDIT, Micro

EMAIL = "operator@localhost"
GIFT = Micro(1_000 * MICRO_PER_CREDIT)
KEY_NAME = "first"


class FirstKey(msgspec.Struct, frozen=True, kw_only=True):
    """The operator's first key, not shown yet."""

    secret: str
    marker: Path

    def shown(self) -> None:
        """It was: the next start makes none."""
        self.marker.unlink(missing_ok=True)

    def __repr__(self) -> str:
        return f"FirstKey(marker={self.marker!r})"


async def first_key(database: Database, data_dir: Path) -> FirstKey | None:
    """The key to show, or None where this database had users before.

    A file in DATA_DIR says that a key is still to be shown: a start that breaks off is made up for by the next one, and
    the credits are added once all the same.
    """
    marker = data_dir / "first_start"
    if not marker.exists():
        if await accounts.list_users(database, limit=1):
            return None
        marker.touch(mode=0o600)
    operator = await accounts.find_user(database, EMAIL)
    if operator is None:
        operator = await accounts.create_user(database, EMAIL, is_operator=True)
    gift = ledger.Credit(amount=GIFT, source="first start", source_id=operator.account_id, note="to try everything")
    await ledger.add_credits(database, operator.account_id, gift)
    made = await accounts.create_key(database, operator.account_id, accounts.KeyTerms(name=KEY_NAME))
    return FirstKey(secret=made.secret, marker=marker)
