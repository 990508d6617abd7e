"""What operators do: add credits, read balances, check the sums."""

from collections.abc import Collection
from enum import StrEnum

import asyncpg
import msgspec

from hypereal.kit.clock import utc_now
from hypereal.kit.db import Connection, Database
from hypereal.kit.errors import NotFound
from hypereal.kit.ids import AccountId, KeyId, PoolId
from hypereal.kit.money import Micro
from hypereal.kit.usage import Usage
from hypereal.ledger import store
from hypereal.ledger.request_log import store as request_log
from hypereal.ledger.rows import UsageRow, document, record

DIFFERENCES_MAX = 1_000
NOTE_LENGTH_MAX = 1_000


class EntryKind(StrEnum):
    """How credits came into a wallet."""

    GIFT = "gift"
    PAYMENT = "payment"


_FROM = {EntryKind.GIFT: PoolId("house/gifts"), EntryKind.PAYMENT: PoolId("house/payments")}


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """A wallet, micro-credits: the `ledger` balance, and what of it is `free` of leases and holds."""

    ledger: Micro
    free: Micro


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A sum that is not what was recorded."""

    what: str
    subject: str
    recorded: int
    summed: int


class Credit(msgspec.Struct, frozen=True, kw_only=True):
    """Credits to be added to a wallet. (`source`, `source_id`) names the reason: one reason adds once."""

    amount: Micro
    kind: EntryKind = EntryKind.GIFT
    source: str
    source_id: str
    note: str = ""


async def add_credits(database: Database, owner_id: AccountId, credit: Credit) -> bool:
    """Add to an account's wallet. False where this (source, source_id) was added before: then nothing changes.

    Raises ValueError for an amount that is not positive, NotFound for an account that does not exist.
    """
    if credit.amount <= 0:
        raise ValueError("credits are added in positive amounts")
    facts = (credit.kind.value, credit.source, credit.source_id, credit.note[:NOTE_LENGTH_MAX])
    try:
        async with database.transaction() as connection:
            await store.make_wallet(connection, owner_id)
            is_new = await store.add_entry(connection, _FROM[credit.kind], PoolId(owner_id), credit.amount, facts)
            if is_new:
                await store.fund(connection, owner_id, credit.amount)
    except asyncpg.ForeignKeyViolationError:
        raise NotFound(f"There is no account {owner_id}.") from None
    return is_new


async def balance(database: Database, owner_id: AccountId) -> Balance:
    """An account's wallet; zeros where nothing was ever added."""
    async with database.connection() as connection:
        row = await store.read_wallet(connection, owner_id)
    if row is None:
        return Balance(ledger=Micro(0), free=Micro(0))
    return Balance(ledger=Micro(row["ledger"]), free=Micro(row["free"]))


async def charge(connection: Connection, row: UsageRow, cost: Micro) -> None:
    """Charge COST for what was used without a hold, in the caller's transaction: at most what the wallet has free.

    The rest is written off. ROW is in the log with both.
    """
    assert cost > 0
    await store.charge_late(connection, document([record(row, Usage(), cost, cost)]))


async def spent_this_month(
    database: Database, owner_id: AccountId, limited: Collection[KeyId], others: Collection[KeyId]
) -> dict[KeyId, Micro]:
    """What was charged to each of the owner's keys in this calendar month, UTC.

    For LIMITED keys that is what counts against their limit; for OTHERS, what calls that began in it have come to.
    """
    now = utc_now()
    pools = {PoolId(f"{key_id}/{now:%Y-%m}"): key_id for key_id in limited}
    async with database.connection() as connection:
        used = await store.spent(connection, owner_id, list(pools)) if pools else {}
        logged = (
            await request_log.spent(connection, owner_id, list(others), now.date().replace(day=1)) if others else {}
        )
    return {
        **{key_id: Micro(used.get(pool_id, 0)) for pool_id, key_id in pools.items()},
        **{key_id: Micro(logged.get(key_id, 0)) for key_id in others},
    }


async def find_answer(database: Database, owner_id: AccountId, upstream_id: str) -> str | None:
    """'provider:model' of the target that gave the owner's answer UPSTREAM_ID; None where the owner has none such."""
    async with database.connection() as connection:
        return await store.find_answer(connection, owner_id, upstream_id)


async def audit(database: Database) -> list[Difference]:
    """The invariants of docs/money.md as far as rows can show them: empty where all sums agree, else at most 1,000."""
    async with database.connection() as connection:
        rows = await store.differences(connection, DIFFERENCES_MAX)
        rows += await request_log.differences(connection, DIFFERENCES_MAX)
    return [Difference(**dict(row)) for row in rows[:DIFFERENCES_MAX]]


async def close_all(connection: Connection) -> int:
    """Close every data process and return its leases, in a transaction of the caller's; how many.

    For a database that was restored: the processes of its snapshot go on elsewhere, and are strangers here.
    """
    return await store.close_all(connection)
