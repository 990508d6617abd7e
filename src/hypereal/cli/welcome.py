"""What `hypereal serve` says once it serves: much on the first start, a line or two on later ones."""

import sys
from pathlib import Path

import msgspec
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from hypereal.cli import output
from hypereal.cli.first_start import EMAIL, GIFT
from hypereal.kit import money

MODEL = "gpt-5.4-mini"


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to say."""

    address: str
    data_dir: Path
    providers: tuple[str, ...]
    """Names of those that calls can go to."""
    has_local_model: bool
    took_s: float


def first(facts: Facts, key: str) -> None:
    """The first start. What is to be pasted stands free of the panel, each in one piece."""
    told = Table.grid(padding=(0, 1))
    told.add_column(style="dim")
    told.add_column(overflow="fold")
    told.add_row("address", facts.address)
    told.add_row("key", Text(key, "bold green"))
    told.add_row("", Text("It is shown this once.", "yellow"))
    told.add_row("wallet", f"{money.credits(GIFT)} credits, of {EMAIL}")
    told.add_row("data", str(facts.data_dir))
    told.add_row("answers", _answers(facts))
    told.add_row("set-up", f"took {facts.took_s:.1f} s")
    output.write(_framed(told, "Hypereal is ready"), *_to_paste(facts.address, key))


def later(facts: Facts) -> None:
    """Any other start."""
    output.write(f"Hypereal serves {facts.address}, data in {facts.data_dir}", _answers(facts))


def _framed(told: Table, title: str) -> RenderableType:
    if not sys.stdout.isatty():
        return Group(Text(title), told)
    return Panel.fit(told, title=title, border_style="green", padding=(1, 1))


def _to_paste(address: str, key: str) -> list[str]:
    return [
        "\nTry it:\n",
        f"curl -sS {address}/v1/chat/completions \\\n"
        f"  -H 'Authorization: Bearer {key}' \\\n"
        "  -H 'Content-Type: application/json' \\\n"
        f'  -d \'{{"model": "{MODEL}", "max_completion_tokens": 60, '
        '"messages": [{"role": "user", "content": "Say hello in one sentence."}]}\'',
        "\nClaude Code:\n",
        f"ANTHROPIC_BASE_URL={address} ANTHROPIC_AUTH_TOKEN={key} claude",
        "\nAn OpenAI SDK:\n",
        f"export OPENAI_BASE_URL={address}/v1 OPENAI_API_KEY={key}\n",
    ]


def _answers(facts: Facts) -> str:
    if facts.providers:
        rest = "; the local model answers for other vendors' models" if facts.has_local_model else ""
        return f"Calls go to {', '.join(facts.providers)}{rest}."
    if facts.has_local_model:
        return "No provider has a key: answers come from the local model. Set OPENAI_API_KEY, ANTHROPIC_API_KEY, ..."
    return (
        "No provider has a key and the local model is not installed: set a key, or `hypereal doctor --install-local`."
    )
