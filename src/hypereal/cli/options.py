"""Options that several commands share, and the settings that they lead to."""

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated

import typer

from hypereal.kit import settings
from hypereal.kit.money import Micro, micro_from_credits


def new_app() -> typer.Typer:
    """An app for one command or a group of them, with the plain help of the root."""
    return typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None)


def positive_credits(text: str) -> Micro:
    """Decimal credits, more than none. A usage error for anything else."""
    try:
        amount = micro_from_credits(text)
    except ValueError as error:
        raise typer.BadParameter(f"{error}; give credits, at most 6 decimals") from None
    if amount <= 0:
        raise typer.BadParameter(f"give more than 0 credits, not {text}")
    return amount


def moment(text: str) -> datetime:
    """A date, or a date and time; UTC where it names no zone. A usage error for anything else."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"give a date such as 2027-01-31 or 2027-01-31T18:00, not {text}") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def dollars(text: str) -> Decimal:
    """Decimal dollars. A usage error for anything else."""
    try:
        return Decimal(text)
    except InvalidOperation:
        raise typer.BadParameter(f"give dollars such as 1.25, not {text}") from None


Config = Annotated[
    Path | None,
    typer.Option("--config", help="Settings file. Default: HYPEREAL_CONFIG, else ./hypereal.toml where there is one."),
]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Where the data is. Default: ~/.hypereal; for root, /var/lib/hypereal."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object, and nothing else.")]
Model = Annotated[str | None, typer.Option("--model", metavar="ID", help="As /v1/models lists them.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where it is saved.")]
Force = Annotated[bool, typer.Option("--force", help="Write over a file that is there.")]
Email = Annotated[str, typer.Option("--email", help="The user's e-mail address, in any case.")]


def read_settings(config: Path | None, data_dir: Path | None) -> settings.Settings:
    """The settings as the server would read them. Raises BadSettings."""
    return settings.load(config, {"server": {"data_dir": str(data_dir)}} if data_dir else None)
