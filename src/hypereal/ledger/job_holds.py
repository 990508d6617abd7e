"""Credit held for a job: a row in the database, for as long as the job goes on, whatever process dies meanwhile.

Held and settled in transactions of whoever owns the job, with its rows: so a job and its money cannot disagree. What a
job holds is at least what it will cost, so nothing of it is ever written off.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from hypereal.kit.clock import next_month_start, utc_now
from hypereal.kit.db import Connection, Database
from hypereal.kit.errors import HyperealError, InsufficientCredits, SpendingLimitReached
from hypereal.kit.ids import JobId, PoolId
from hypereal.kit.money import Micro, credits
from hypereal.kit.usage import Usage
from hypereal.ledger import store
from hypereal.ledger.holds import AlreadySettled, Payer
from hypereal.ledger.rows import UsageRow, document, record

RECALL_S = 0.02
"""How often a pool that is short is asked again, while data processes give back what they leased and do not use."""
RECALLS_MAX = 8
NOTHING = Micro(0)

Result = TypeVar("Result")


class Lacking(Exception):
    """A pool has not what is to be held. `refusal` is what the caller is told, where nobody gives it back."""

    def __init__(self, pool_id: PoolId, refusal: HyperealError) -> None:
        super().__init__(pool_id)
        self.pool_id = pool_id
        self.refusal = refusal


async def hold_for_job(connection: Connection, payer: Payer, job_id: JobId, amount: Micro) -> None:
    """Hold AMOUNT of the payer's wallet, and of the key's month where it has a limit, in the caller's transaction.

    Raises Lacking, which must end the transaction: see `with_recall`.
    """
    assert amount > 0, "what costs nothing needs no hold"
    wallet = PoolId(payer.owner_id)
    pools, month = [wallet], None
    if payer.spending_limit is not None:
        month = PoolId(f"{payer.key_id}/{utc_now():%Y-%m}")
        await store.fund_month(connection, month, payer.owner_id, payer.spending_limit)
        pools.append(month)
    free = await store.lock_free(connection, pools)
    for pool_id in pools:
        if free.get(pool_id, 0) < amount:
            raise Lacking(pool_id, _refusal(payer, pool_id == month, amount, max(0, free.get(pool_id, 0))))
    await store.hold(connection, job_id, pools, amount)


async def settle_job(connection: Connection, job_id: JobId, row: UsageRow, cost: Micro) -> None:
    """End what a job holds: COST of it is charged, the rest is free again; and ROW is in the log. In one transaction.

    Raises AlreadySettled where it was ended before, ValueError for more than is held: either must end the transaction.
    """
    held = await store.end_hold(connection, job_id, cost)
    if not held:
        raise AlreadySettled
    if any(cost > amount for amount in held.values()):
        raise ValueError(f"{job_id} costs {cost} and holds less")
    await log_call(connection, row, cost)


async def log_call(connection: Connection, row: UsageRow, cost: Micro = NOTHING) -> None:
    """A row in the log for a call that no data process has settled: one that was refused costs nothing."""
    await store.log(connection, document([record(row, Usage(), cost, cost)]))


async def with_recall(database: Database, work: Callable[[], Awaitable[Result]]) -> Result:
    """What WORK gives, a transaction with `hold_for_job` in it.

    Where a wallet is short only because data processes have leased of it, they are asked to give that back, and WORK is
    done again. Raises what the caller is to be told, and what WORK raises.
    """
    for _ in range(RECALLS_MAX):
        try:
            return await work()
        except Lacking as lacking:
            async with database.connection() as connection:
                if not await store.recall(connection, lacking.pool_id):
                    raise lacking.refusal from None
        await asyncio.sleep(RECALL_S)
    try:
        return await work()
    except Lacking as lacking:
        raise lacking.refusal from None


def _refusal(payer: Payer, is_month: bool, amount: int, available: int) -> HyperealError:
    if not is_month:
        return InsufficientCredits(
            f"This costs up to {credits(amount)} credits, but only {credits(available)} are available. Top up, or ask "
            "for less."
        )
    resets_at = next_month_start(utc_now())
    return SpendingLimitReached(
        f"This key's limit of {credits(payer.spending_limit or 0)} credits a month does not allow this. It resets at "
        f"{resets_at:%Y-%m-%dT%H:%M:%SZ}.",
        details={"resets_at": f"{resets_at:%Y-%m-%dT%H:%M:%SZ}"},
    )
