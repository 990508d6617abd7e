"""What is done aside for accounts: people are told of the budgets of their keys, by mail and by an event."""

from datetime import datetime

import msgspec

from hypereal.accounts import store
from hypereal.accounts.keys import Key
from hypereal.accounts.users import addresses_of
from hypereal.jobs import WRITTEN, Context, Done, Failed, Handler, Job, NewJob, Outcome, Retry, announce, enqueue, write
from hypereal.kit import mail
from hypereal.kit.budgets import BUDGET_REACHED, BudgetReached
from hypereal.kit.clock import month_end, utc_now
from hypereal.kit.events import EMIT, ToEmit
from hypereal.kit.ids import KeyId
from hypereal.kit.money import credits, credits_json

SEND_MAIL = "mail.send"


async def budget_reached(context: Context, job: Job) -> Outcome:
    """Stop the key where its owner wants that, and tell the owner by a mail and an event; all of it once."""
    reached: BudgetReached = job.payload
    async with context.database.transaction() as connection:
        row = await store.lock_key(connection, job.owner_id, reached.key_id)
        if row is not None:  # else it was revoked since
            key = msgspec.convert(dict(row), Key)
            stops = _stops(key, reached)
            if stops:
                facts = msgspec.structs.asdict(key) | {"stopped_at": utc_now()}
                await store.write_key(connection, job.owner_id, key.id, facts)
            people = await addresses_of(connection, job.owner_id)
            letters = [_letter(address, key, reached, stops) for address in people]
            event = NewJob(kind=EMIT, owner_id=job.owner_id, payload=_event(key, reached, stops))
            mails = [NewJob(kind=SEND_MAIL, owner_id=job.owner_id, payload=letter) for letter in letters]
            await enqueue(connection, event, *mails)
        await write(connection, job, Done())
    await announce(context.database)
    return WRITTEN


async def send_mail(context: Context, job: Job) -> Outcome:
    """Send one mail."""
    try:
        await mail.send(context.settings.mail, job.payload, job.id)
    except mail.Refused as error:
        return Failed(str(error))
    except mail.Postponed as error:
        return Retry(error=str(error))
    return Done()


def _stops(key: Key, reached: BudgetReached) -> bool:
    """A limit that was raised meanwhile is not used up."""
    is_used_up = reached.percent == 100 and key.spending_limit is not None and key.spending_limit <= reached.limit
    return is_used_up and key.auto_disable and key.stopped_at is None


class BudgetEvent(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The data of `key.budget_80` and `key.budget_100`."""

    key_id: KeyId
    name: str
    month: str
    used_credits: msgspec.Raw
    limit_credits: msgspec.Raw
    is_stopped: bool
    """It stays off until somebody turns it on."""
    resets_at: datetime


def _event(key: Key, reached: BudgetReached, stops: bool) -> ToEmit:
    told = BudgetEvent(
        key_id=key.id,
        name=key.name,
        month=reached.month,
        used_credits=credits_json(reached.used),
        limit_credits=credits_json(reached.limit),
        is_stopped=stops,
        resets_at=month_end(reached.month),
    )
    return ToEmit(type=f"key.budget_{reached.percent}", data=msgspec.Raw(msgspec.json.encode(told)))


def _letter(address: str, key: Key, reached: BudgetReached, stops: bool) -> mail.Mail:
    name, used, limit = f"'{key.name}' (…{key.hint})", credits(reached.used), credits(reached.limit)
    resets_at = f"{month_end(reached.month):%Y-%m-%d %H:%M} UTC"
    if reached.percent < 100:
        subject = f"Your key '{key.name}' has used {reached.percent} % of its limit"
        what = f"At 100 % its calls are refused until the month ends, at {resets_at}."
    elif stops:
        subject = f"Your key '{key.name}' has reached its limit and is switched off"
        what = 'It stays off, next month too, until somebody turns it on: PATCH /api/api-keys/{id} {"isActive": true}.'
    else:
        subject = f"Your key '{key.name}' has reached its limit"
        what = f"Calls that do not fit into the rest are refused until the month ends, at {resets_at}."
    text = (
        f"Your key {name} has used {used} of the {limit} credits that it may spend in {reached.month}.\n\n"
        f"{what}\n\nIts id is {key.id}. To let it spend more, raise its limit.\n"
    )
    return mail.Mail(to=address, subject=subject, text=text)


HANDLERS = (
    Handler(kind=BUDGET_REACHED, payload=BudgetReached, run=budget_reached),
    Handler(kind=SEND_MAIL, payload=mail.Mail, run=send_mail, concurrency_max=4, attempts_max=15, retry_s=5.0),
)
