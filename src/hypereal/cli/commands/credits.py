"""`hypereal credits`."""

import asyncio
from typing import Annotated

import typer

from hypereal import accounts, ledger
from hypereal.cli import database, output
from hypereal.cli.options import AsJson, Config, DataDir, Email, new_app, positive_credits, read_settings
from hypereal.kit import money
from hypereal.kit.errors import NotFound
from hypereal.kit.ids import new_id
from hypereal.kit.money import Micro

app = new_app()


@app.callback()
def credits_() -> None:
    """Add credits to a wallet."""


Amount = Annotated[
    Micro, typer.Option("--credits", parser=positive_credits, metavar="N", help="How many; 100 credits are $1.")
]


@app.command(epilog="Example: hypereal credits add --email ada@example.com --credits 500 --note 'invoice 17'")
def add(
    email: Email,
    amount: Amount,
    note: Annotated[str, typer.Option("--note", help="Why; kept with the entry.")] = "",
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Add credits to a user's wallet. A running server knows at once."""
    balance = asyncio.run(_add(email, amount, note, data_dir, config))
    if as_json:
        added, free = money.credits_json(amount), money.credits_json(balance.free)
        output.write_json({"email": email, "added": added, "balance": money.credits_json(balance.ledger), "free": free})
    else:
        output.write(f"{money.credits(amount)} credits added: {email} now has {money.credits(balance.ledger)}.")


async def _add(email: str, amount: Micro, note: str, data_dir: DataDir, config: Config) -> ledger.Balance:
    async with database.opened(read_settings(config, data_dir), "credits add") as opened:
        user = await accounts.find_user(opened, email)
        if user is None:
            raise NotFound(f"There is no user {email}. `hypereal users create --email {email}` makes one.")
        credit = ledger.Credit(amount=amount, source="command", source_id=new_id("cmd"), note=note)
        await ledger.add_credits(opened, user.account_id, credit)
        return await ledger.balance(opened, user.account_id)
