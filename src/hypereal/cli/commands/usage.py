"""`hypereal usage`."""

import asyncio
from typing import Annotated

import typer

from hypereal import ledger
from hypereal.cli import database, output
from hypereal.cli.options import AsJson, Config, DataDir, new_app, read_settings
from hypereal.kit import money
from hypereal.kit.money import credits_json

app = new_app()


@app.command(epilog="Example: hypereal usage --days 7")
def usage(
    days: Annotated[
        int, typer.Option("--days", min=1, max=ledger.DAYS_MAX, help="The last days (UTC), today included.")
    ] = 30,
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show what each model brought and cost, over all wallets.

    Credits: what was charged, what the vendor takes as far as targets say their cost, and what is left of the calls
    whose cost is known.
    """
    found = asyncio.run(_profits(days, data_dir, config))
    if as_json:
        output.write_json({"days": days, "models": [_shown(one) for one in found], "total": _total(found)})
        return
    numbers = ("calls", "errors", "input", "output", "charged", "vendor", "margin", "not known")
    table = output.table("model", "provider", *numbers, numbers=numbers)
    for one in found:
        counts = (one.calls, one.errors, one.input_tokens, one.output_tokens)
        table.add_row(one.model, one.provider, *map(str, counts), *_money(one))
    output.write(table)


async def _profits(days: int, data_dir: DataDir, config: Config) -> list[ledger.Profit]:
    async with database.opened(read_settings(config, data_dir), "usage") as opened:
        return await ledger.profit(opened, days)


def _is_known(one: ledger.Profit) -> bool:
    return one.upstream_charged > 0 or one.upstream_cost > 0


def _money(one: ledger.Profit) -> tuple[str, str, str, str]:
    """Nothing is shown where nothing is known: a cost that nobody told is not 0."""
    known = (money.credits(one.upstream_cost), money.credits(one.margin)) if _is_known(one) else ("", "")
    return (money.credits(one.charged), *known, str(one.upstream_unknown or ""))


def _shown(one: ledger.Profit) -> dict[str, object]:
    return {
        "model": one.model,
        "provider": one.provider or None,
        "calls": one.calls,
        "errors": one.errors,
        "input_tokens": one.input_tokens,
        "output_tokens": one.output_tokens,
        "charged": credits_json(one.charged),
        "upstream_cost": credits_json(one.upstream_cost) if _is_known(one) else None,
        "margin": credits_json(one.margin) if _is_known(one) else None,
        "upstream_unknown": one.upstream_unknown,
    }


def _total(found: list[ledger.Profit]) -> dict[str, object]:
    return {
        "calls": sum(one.calls for one in found),
        "charged": credits_json(sum(one.charged for one in found)),
        "upstream_cost": credits_json(sum(one.upstream_cost for one in found)),
        "margin": credits_json(sum(one.margin for one in found)),
        "upstream_unknown": sum(one.upstream_unknown for one in found),
    }
