"""What is stored is paid for once a day: each owner's byte-seconds since the last time, at the price of that moment.

Charged is at most what the wallet has free; the rest is written off, as of a call that cost more than was there. Who
has nothing left cannot announce uploads.
"""

from decimal import Decimal

from hypereal import ledger
from hypereal.kit import log
from hypereal.kit.clock import utc_now
from hypereal.kit.ids import AccountId, KeyId, new_request_id
from hypereal.kit.money import Micro, credits, micro_from_credits
from hypereal.ledger import Asked, Asker, Details, UsageRow
from hypereal.storage import store
from hypereal.storage.objects import GB, MONTH_S
from hypereal.storage.storage import Storage

STORAGE = "storage"
"""The log's endpoint, dialect, model and key of what no call has asked for."""
OWNERS_MAX = 500
"""Read at once."""


async def bill_all(storage: Storage) -> int:
    """Bill every owner who has stored anything since the last time, however long ago; how many were charged."""
    charged, after = 0, AccountId("")
    while True:
        async with storage.database.connection() as connection:
            owners = await store.list_unbilled(connection, after, OWNERS_MAX)
        for after in owners:
            charged += await bill(storage, after) > 0
        if len(owners) < OWNERS_MAX:
            break
    log.get("storage").info("storage is billed", owners=charged)
    return charged


async def bill(storage: Storage, owner_id: AccountId) -> Micro:
    """Charge OWNER_ID for what was stored since the last time, micro-credits. One transaction: never twice."""
    price = price_per_gb_month(storage)
    async with storage.database.transaction() as connection:
        byte_seconds = await store.bill(connection, owner_id)
        cost = cost_of(byte_seconds, price)
        if cost:
            await ledger.charge(connection, _row(owner_id, price), cost)
    return cost


def price_per_gb_month(storage: Storage) -> Micro:
    """Of 10^9 bytes kept for 30 days."""
    return micro_from_credits(str(storage.settings.price_gb_month))


def cost_of(byte_seconds: Decimal, price: Micro) -> Micro:
    """BYTE_SECONDS at PRICE, rounded up once."""
    return Micro(-(-int(byte_seconds) * price // (GB * MONTH_S)))


def _row(owner_id: AccountId, price: Micro) -> UsageRow:
    asker = Asker(owner_id=owner_id, key_id=KeyId(STORAGE), endpoint=STORAGE, client="")
    asked = Asked(dialect=STORAGE, model=STORAGE, price_version=f"{credits(price)}/GB-month")
    details = Details(
        request_id=new_request_id(), started_at=utc_now(), status=200, is_stream=False, attempts=0, duration_ms=0
    )
    return UsageRow.of(asker, asked, details)
