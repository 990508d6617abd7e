"""`hypereal keys`."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from hypereal import accounts, ledger
from hypereal.cli import database, offer, output
from hypereal.cli.options import AsJson, Config, DataDir, Email, new_app, positive_credits, read_settings
from hypereal.kit import money
from hypereal.kit.db import Database
from hypereal.kit.errors import NotFound
from hypereal.kit.ids import KeyId, new_id
from hypereal.kit.money import Micro
from hypereal.kit.settings import Settings

KEYS_MAX = 10_000
"""The most that `list` shows."""

app = new_app()

Id = Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `keys list` shows it.")]


@app.callback()
def keys() -> None:
    """Make, list, change and revoke keys."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What `create` is asked for."""

    email: str
    gift: Micro | None
    terms: accounts.KeyTerms


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A new key, and its owner's wallet."""

    key: accounts.NewKey
    balance: ledger.Balance


@app.command(epilog="Example: hypereal keys create --email ada@example.com --credits 500 --models claude-opus-4-6")
def create(
    email: Email,
    name: Annotated[str, typer.Option("--name", help="What the key is for.")] = "default",
    gift: Annotated[
        Micro | None,
        typer.Option("--credits", parser=positive_credits, metavar="N", help="Add these to the user's wallet, too."),
    ] = None,
    spending_limit: Annotated[
        Micro | None,
        typer.Option(
            "--spending-limit", parser=positive_credits, metavar="N", help="Credits per calendar month (UTC), at most."
        ),
    ] = None,
    auto_disable: Annotated[
        bool, typer.Option("--auto-disable", help="At its limit it stays off until somebody turns it on.")
    ] = False,
    models: Annotated[
        str, typer.Option("--models", metavar="A,B", help="The only models it may call. Default: all.")
    ] = "",
    allowed_ips: Annotated[
        str, typer.Option("--allowed-ips", metavar="A,B", help="The only addresses and ranges it may be used from.")
    ] = "",
    scopes: Annotated[
        str, typer.Option("--scopes", metavar="A,B", help="inference: models; account: the /api routes, too.")
    ] = "inference",
    log_bodies: Annotated[
        bool, typer.Option("--log-bodies", help="Keep what its calls ask and are answered, encrypted, for a week.")
    ] = False,
    expires: Annotated[
        datetime | None,
        typer.Option("--expires", formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"], help="When it ends, UTC. Default: never."),
    ] = None,
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Make a key, and its user where there is none. The key is shown now and never again."""
    settings = read_settings(config, data_dir)
    terms = accounts.KeyTerms(
        name=name,
        scopes=frozenset(_listed(scopes)),
        models=_model_ids(settings, models),
        spending_limit=spending_limit,
        auto_disable=auto_disable,
        allowed_ips=tuple(_listed(allowed_ips)) or None,
        expires_at=None if expires is None else expires.replace(tzinfo=UTC),
        log_bodies=log_bodies,
    )
    made = asyncio.run(_create(settings, Wanted(email=email, gift=gift, terms=terms)))
    if as_json:
        output.write_json(
            {
                "key": made.key.secret,
                "id": made.key.key.id,
                "name": made.key.key.name,
                "email": email,
                "balance": money.credits_json(made.balance.ledger),
            }
        )
        return
    output.write(
        made.key.secret,
        f"\nThis is the only time that it is shown. Its id is {made.key.key.id}; "
        f"the wallet of {email} holds {money.credits(made.balance.ledger)} credits.",
    )


@app.command("list", epilog="Example: hypereal keys list --email ada@example.com")
def list_(
    email: Annotated[str | None, typer.Option("--email", help="Only this user's. Default: everybody's.")] = None,
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """List keys, without their secrets."""
    rows = asyncio.run(_list(read_settings(config, data_dir), email))
    if as_json:
        output.write_json({"keys": [_shown(key, owner) for owner, key in rows]})
        return
    table = output.table("id", "name", "ends in", "owner", "limit/month", "models", "state", "created")
    for owner, key in rows:
        limit = "-" if key.spending_limit is None else money.credits(key.spending_limit)
        models = "all" if key.models is None else ", ".join(sorted(key.models))
        created = f"{key.created_at:%Y-%m-%d}"
        table.add_row(key.id, key.name, key.hint, owner, limit, models, key.state, created)
    output.write(table)


@app.command(epilog="Example: hypereal keys revoke key_0123456789abcdef01234567")
def revoke(
    key_id: Id,
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Delete a key for good. A running server refuses it within a second."""
    asyncio.run(_revoke(data_dir, config, KeyId(key_id)))
    if as_json:
        output.write_json({"id": key_id, "revoked": True})
    else:
        output.write(f"{key_id} is revoked.")


@app.command(epilog="Example: hypereal keys rotate key_0123456789abcdef01234567 --grace-hours 48")
def rotate(
    key_id: Id,
    grace_hours: Annotated[
        float, typer.Option("--grace-hours", min=0, max=720, help="So long the old secret works, too.")
    ] = 24.0,
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Give a key a new secret. It is shown now and never again; limits, and what was spent, stay."""
    made = asyncio.run(_rotate(data_dir, config, KeyId(key_id), grace_hours * 3600))
    until = made.key.former_until
    if as_json:
        output.write_json({"key": made.secret, "id": key_id, "former_until": until})
    else:
        output.write(
            made.secret,
            f"\nThis is the only time that it is shown. The old one works until {until:%Y-%m-%d %H:%M} UTC.",
        )


@app.command(epilog="Example: hypereal keys enable key_0123456789abcdef01234567")
def enable(key_id: Id, data_dir: DataDir = None, config: Config = None, as_json: AsJson = False) -> None:
    """Turn a key on that was disabled, or that its budget has stopped."""
    asyncio.run(_change(data_dir, config, KeyId(key_id), accounts.KeyChange(is_active=True)))
    _tell(key_id, "on", as_json)


@app.command(epilog="Example: hypereal keys disable key_0123456789abcdef01234567")
def disable(key_id: Id, data_dir: DataDir = None, config: Config = None, as_json: AsJson = False) -> None:
    """Turn a key off, for the time being."""
    asyncio.run(_change(data_dir, config, KeyId(key_id), accounts.KeyChange(is_active=False)))
    _tell(key_id, "off", as_json)


@app.command(epilog="Example: hypereal keys bodies key_0123456789abcdef01234567 --days 14")
def bodies(
    key_id: Id,
    off: Annotated[bool, typer.Option("--off", help="Keep no more of them. What is kept stays for its time.")] = False,
    days: Annotated[
        int, typer.Option("--days", min=1, max=accounts.BODY_DAYS_MAX, help="For so many days besides the call's own.")
    ] = accounts.BODY_DAYS_DEFAULT,
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Keep what the calls of a key ask and are answered, encrypted and without credentials, or keep it no more.

    A running server knows within a second. Only the account that owns the key can read it.
    """
    change = (
        accounts.KeyChange(log_bodies=False) if off else accounts.KeyChange(log_bodies=True, body_retention_days=days)
    )
    key = asyncio.run(_change(data_dir, config, KeyId(key_id), change))
    if as_json:
        output.write_json({"id": key_id, "log_bodies": key.log_bodies, "body_retention_days": key.body_retention_days})
    elif off:
        output.write(f"Bodies of {key_id} are not kept any more.")
    else:
        output.write(f"Bodies of {key_id} are kept for {days} days.")


def _tell(key_id: str, state: str, as_json: bool) -> None:
    if as_json:
        output.write_json({"id": key_id, "active": state == "on"})
    else:
        output.write(f"{key_id} is {state}.")


def _listed(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


def _model_ids(settings: Settings, names: str) -> frozenset[str] | None:
    """The ids of NAMES, which may be aliases; None where there are none. Raises NotFound."""
    wanted = _listed(names)
    known = offer.load(settings).catalog if wanted else None
    ids = set()
    for name in wanted:
        model = known.find(name) if known else None
        if model is None:
            raise NotFound(f"There is no model {name}. `hypereal models list` shows them.")
        ids.add(model.id)
    return frozenset(ids) or None


async def _create(settings: Settings, wanted: Wanted) -> Made:
    async with database.opened(settings, "keys create") as opened:
        user = await accounts.ensure_user(opened, wanted.email)
        if wanted.gift is not None:
            credit = ledger.Credit(amount=wanted.gift, source="command", source_id=new_id("cmd"), note="with a key")
            await ledger.add_credits(opened, user.account_id, credit)
        key = await accounts.create_key(opened, user.account_id, wanted.terms)
        return Made(key=key, balance=await ledger.balance(opened, user.account_id))


async def _list(settings: Settings, email: str | None) -> list[tuple[str, accounts.Key]]:
    """(owner's address, key), at most KEYS_MAX."""
    async with database.opened(settings, "keys list") as opened:
        found: list[tuple[str, accounts.Key]] = []
        for user in await _users(opened, email):
            page = await accounts.list_keys(opened, user.account_id)
            while page and len(found) < KEYS_MAX:
                found += [(user.email, key) for key in page]
                page = await accounts.list_keys(opened, user.account_id, after=page[-1].id)
        return found[:KEYS_MAX]


async def _users(opened: Database, email: str | None) -> list[accounts.User]:
    if email is not None:
        user = await accounts.find_user(opened, email)
        if user is None:
            raise NotFound(f"There is no user {email}.")
        return [user]
    users: list[accounts.User] = []
    page = await accounts.list_users(opened)
    while page and len(users) < KEYS_MAX:
        users += page
        page = await accounts.list_users(opened, after=page[-1].id)
    return users


async def _revoke(data_dir: Path | None, config: Path | None, key_id: KeyId) -> None:
    async with database.opened(read_settings(config, data_dir), "keys revoke") as opened:
        await accounts.revoke_key(opened, await accounts.find_owner(opened, key_id), key_id)


async def _change(
    data_dir: Path | None, config: Path | None, key_id: KeyId, change: accounts.KeyChange
) -> accounts.Key:
    async with database.opened(read_settings(config, data_dir), "keys") as opened:
        return await accounts.change_key(opened, await accounts.find_owner(opened, key_id), key_id, change)


async def _rotate(data_dir: Path | None, config: Path | None, key_id: KeyId, grace_s: float) -> accounts.NewKey:
    async with database.opened(read_settings(config, data_dir), "keys rotate") as opened:
        return await accounts.rotate_key(opened, await accounts.find_owner(opened, key_id), key_id, grace_s)


def _shown(key: accounts.Key, owner: str) -> dict[str, object]:
    return {
        "id": key.id,
        "name": key.name,
        "hint": key.hint,
        "email": owner,
        "state": key.state,
        "models": None if key.models is None else sorted(key.models),
        "scopes": sorted(key.scopes),
        "allowed_ips": key.allowed_ips,
        "auto_disable": key.auto_disable,
        "spending_limit": None if key.spending_limit is None else money.credits_json(key.spending_limit),
        "expires_at": key.expires_at,
        "created_at": key.created_at,
        "log_bodies": key.log_bodies,
        "body_retention_days": key.body_retention_days,
    }
