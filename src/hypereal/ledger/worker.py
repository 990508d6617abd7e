"""The ledger's schedules: keys near their limit for the month, wallets that are nearly empty, the request log's upkeep.

Others tell people of a limit. The mark on the pool and the job that tells of it are one transaction, so each is told
once.
"""

from datetime import timedelta

import msgspec

from hypereal.jobs import Context, Every, NewJob, Schedule, announce, enqueue
from hypereal.kit.budgets import BUDGET_REACHED, BudgetReached
from hypereal.kit.clock import utc_now
from hypereal.kit.db import Database
from hypereal.kit.events import EMIT, ToEmit
from hypereal.kit.ids import AccountId, KeyId, PoolId
from hypereal.kit.money import MICRO_PER_CREDIT, Micro, credits_json
from hypereal.ledger import store
from hypereal.ledger.request_log.bodies import upkeep as bodies
from hypereal.ledger.request_log.upkeep import Retention, fold, merge_users, tend

LOOK_S = 2.0
WALLETS_S = 15.0
FOLD_S = 10.0
TEND_S = 600.0
FORGET_S = 10.0
PAGE = 500
PAGES_MAX = 10_000
LATE = timedelta(hours=1)
"""So long after a month's end its last calls may still be settled."""
PERCENTAGES = (80, 100)


async def find_reached(database: Database) -> int:
    """Write a job for each key and percentage that was reached; how many. Raises one of UNREACHABLE."""
    now = utc_now()
    count = 0
    for month in sorted({f"{now:%Y-%m}", f"{now - LATE:%Y-%m}"}):
        after = PoolId("")
        for _ in range(PAGES_MAX):
            async with database.transaction() as connection:
                rows = await store.alert(connection, month, after, PAGE)
                news = [
                    _job(row["owner_id"], row["id"], percent, Micro(row["used"]), Micro(row["funded"]))
                    for row in rows
                    for percent in PERCENTAGES
                    if row["before"] < percent <= row["level"]
                ]
                await enqueue(connection, *news)
            count += len(news)
            if len(rows) < PAGE:
                break
            after = PoolId(rows[-1]["id"])
    if count:
        await announce(database)
    return count


class BalanceEvent(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The data of `balance.low`."""

    balance_credits: msgspec.Raw
    low_credits: msgspec.Raw


async def find_low(database: Database, mark: Micro) -> int:
    """Write an event for each wallet that has fallen to MARK; how many. One that is filled is told of again."""
    async with database.transaction() as connection:
        rows = await store.low_wallets(connection, mark, PAGE)
        await enqueue(connection, *(_low(AccountId(row["owner_id"]), Micro(row["balance"]), mark) for row in rows))
    if rows:
        await announce(database)
    return len(rows)


def _low(owner_id: AccountId, balance: Micro, mark: Micro) -> NewJob:
    told = BalanceEvent(balance_credits=credits_json(balance), low_credits=credits_json(mark))
    payload = ToEmit(type="balance.low", data=msgspec.Raw(msgspec.json.encode(told)))
    return NewJob(kind=EMIT, owner_id=owner_id, payload=payload)


def _job(owner_id: str, pool_id: str, percent: int, used: Micro, limit: Micro) -> NewJob:
    key_id, _, month = pool_id.partition("/")
    reached = BudgetReached(key_id=KeyId(key_id), month=month, percent=percent, used=used, limit=limit)
    return NewJob(kind=BUDGET_REACHED, owner_id=AccountId(owner_id), payload=reached)


async def _look(context: Context) -> None:
    await find_reached(context.database)


async def _look_at_wallets(context: Context) -> None:
    await find_low(context.database, Micro(context.settings.ledger.low_balance_credits * MICRO_PER_CREDIT))


async def _fold(context: Context) -> None:
    await fold(context.database)


async def _tend(context: Context) -> None:
    kept = context.settings.log
    await tend(context.database, Retention(rows_days=kept.retention_days, hours_days=kept.sums_days))
    await merge_users(context.database)
    await bodies.tend(context.database)


async def _forget(context: Context) -> None:
    await bodies.forget(context.database)


SCHEDULES = (
    Schedule(kind="ledger.budgets", when=Every(LOOK_S), run=_look),
    Schedule(kind="ledger.low", when=Every(WALLETS_S), run=_look_at_wallets),
    Schedule(kind="log.fold", when=Every(FOLD_S), run=_fold),
    Schedule(kind="log.forget", when=Every(FORGET_S), run=_forget),
    Schedule(kind="log.tend", when=Every(TEND_S), run=_tend),
)
