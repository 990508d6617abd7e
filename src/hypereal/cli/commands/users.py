"""`hypereal users`."""

import asyncio
import sys
from typing import Annotated

import typer

from hypereal import accounts
from hypereal.cli import database, output
from hypereal.cli.options import AsJson, Config, DataDir, Email, new_app, read_settings
from hypereal.kit.errors import NotFound

PASSWORD_BYTES_MAX = 4096

app = new_app()


@app.callback()
def users() -> None:
    """Add the people who own keys and wallets; set their rates."""


Password = Annotated[
    str | None,
    typer.Option(
        "--password", help="To sign in with, 8 characters or more; - reads it from stdin, where no other user sees it."
    ),
]


@app.command(epilog="Example: hypereal users create --email ada@example.com --password - --operator < password.txt")
def create(
    email: Email,
    password: Password = None,
    operator: Annotated[bool, typer.Option("--operator", help="May administer this installation.")] = False,
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Add a user with an empty wallet. Fails where the address is taken."""
    if password == "-":
        password = sys.stdin.readline(PASSWORD_BYTES_MAX).rstrip("\r\n")

    async def made() -> accounts.User:
        async with database.opened(read_settings(config, data_dir), "users create") as opened:
            return await accounts.create_user(opened, email, password=password, is_operator=operator)

    user = asyncio.run(made())
    if as_json:
        output.write_json({"id": user.id, "account_id": user.account_id, "email": user.email, "operator": operator})
    else:
        output.write(f"{user.email} is {'an operator' if operator else 'a user'} now ({user.id}).")


@app.command(epilog="Example: hypereal users limit --email ada@example.com --requests-per-minute 1200")
def limit(
    email: Email,
    requests_per_minute: Annotated[
        int | None, typer.Option("--requests-per-minute", min=1, help="Default: that of the settings.")
    ] = None,
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Set how many requests a minute all keys of a user may make together. A running server knows at once."""

    async def limited() -> None:
        async with database.opened(read_settings(config, data_dir), "users limit") as opened:
            user = await accounts.find_user(opened, email)
            if user is None:
                raise NotFound(f"There is no user {email}.")
            await accounts.set_rate(opened, user.account_id, requests_per_minute)

    asyncio.run(limited())
    if as_json:
        output.write_json({"email": email, "requests_per_minute": requests_per_minute})
    else:
        rate = "the rate of the settings" if requests_per_minute is None else f"{requests_per_minute} requests a minute"
        output.write(f"{email} has {rate} now.")
