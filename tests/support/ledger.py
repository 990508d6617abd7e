"""What the ledger's tests share: a payer, a usage row, and waiting for a ticket."""

import asyncio
from typing import TypeVar

import msgspec

from hypereal.kit.clock import utc_now
from hypereal.kit.db import Database
from hypereal.kit.ids import AccountId, KeyId, new_id, new_request_id
from hypereal.kit.money import MICRO_PER_CREDIT, Micro
from hypereal.kit.usage import Usage
from hypereal.ledger import Asked, Asker, Credit, Details, Hold, Ledger, Ticket, UsageRow, add_credits

USAGE = Usage(input_tokens=10, output_tokens=20)


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who pays."""

    owner_id: AccountId
    key_id: KeyId = KeyId("key_1")
    spending_limit: Micro | None = None


def micro(credits: float) -> Micro:
    return Micro(round(credits * MICRO_PER_CREDIT))


def usage_row(caller: Caller, **changes: object) -> UsageRow:
    asker = Asker(owner_id=caller.owner_id, key_id=caller.key_id, endpoint="/v1/chat/completions", client="")
    asked = Asked(dialect="openai_chat", model="gpt-5")
    details = Details(
        request_id=new_request_id(), started_at=utc_now(), status=200, is_stream=False, attempts=1, duration_ms=5
    )
    row = UsageRow.of(_changed(asker, changes), _changed(asked, changes), _changed(details, changes))
    assert not changes, "a row has no such member"
    return row


Part = TypeVar("Part", Asker, Asked, Details)


def _changed(part: Part, changes: dict[str, object]) -> Part:
    """PART with those of CHANGES that are its own, which are taken out of them."""
    names = changes.keys() & set(part.__struct_fields__)
    return msgspec.structs.replace(part, **{name: changes.pop(name) for name in names})


async def make_account(database: Database, credits: float = 0) -> AccountId:
    """A person with a wallet of CREDITS."""
    owner_id = AccountId(new_id("acc"))
    async with database.connection() as connection:
        await connection.execute("INSERT INTO accounts (id, kind, name) VALUES ($1, 'person', 'Ada')", owner_id)
    if credits:
        await add_credits(database, owner_id, Credit(amount=micro(credits), source="test", source_id=owner_id))
    return owner_id


async def decided(ledger: Ledger, caller: Caller, amount: Micro) -> Ticket:
    """A ticket for AMOUNT, waited for."""
    ready = asyncio.Event()
    ticket = ledger.hold(caller, amount, ready.set)
    if ticket.is_pending:
        await ready.wait()
    return ticket


async def held(ledger: Ledger, caller: Caller, amount: Micro) -> Hold:
    """A hold of AMOUNT. Raises as `take` does."""
    return (await decided(ledger, caller, amount)).take()
