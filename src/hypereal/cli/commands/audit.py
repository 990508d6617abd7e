"""`hypereal audit`."""

import asyncio

import typer

from hypereal import ledger
from hypereal.cli import database, output
from hypereal.cli.options import AsJson, Config, DataDir, new_app, read_settings
from hypereal.kit import money

app = new_app()


@app.command(epilog="Example: hypereal audit --json")
def audit(data_dir: DataDir = None, config: Config = None, as_json: AsJson = False) -> None:
    """Check that the sums of all wallets agree with what was entered.

    Compares ledger, holds, leases and usage rows in one snapshot; harmless while the server runs. Exit code 1 where
    they differ.
    """
    differences = asyncio.run(_differences(data_dir, config))
    if as_json:
        output.write_json({"ok": not differences, "differences": differences})
    elif differences:
        table = output.table("what", "of", "recorded", "summed", numbers=("recorded", "summed"))
        for found in differences:
            table.add_row(found.what, found.subject, money.credits(found.recorded), money.credits(found.summed))
        output.write(table, f"{len(differences)} sums differ (credits).")
    else:
        output.write("All sums agree.")
    raise typer.Exit(1 if differences else 0)


async def _differences(data_dir: DataDir, config: Config) -> list[ledger.Difference]:
    async with database.opened(read_settings(config, data_dir), "audit") as opened:
        return await ledger.audit(opened)
