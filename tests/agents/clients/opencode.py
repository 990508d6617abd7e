"""OpenCode: a provider of its own in opencode.json, over the AI SDK's package for each dialect."""

import json
from collections.abc import Callable
from typing import Any

from tests.agents.running import Command, Row, Run

from hypereal.kit.dialects import Dialect

OFF = ("AUTOUPDATE", "MODELS_FETCH", "LSP_DOWNLOAD", "DEFAULT_PLUGINS")


def over(package: str) -> Callable[[Run], Command]:
    """A start whose provider is the AI SDK's PACKAGE."""

    def start(run: Run) -> Command:
        folder = run.home / ".config" / "opencode"
        folder.mkdir(parents=True)
        (folder / "opencode.json").write_text(json.dumps(_config(package, run)), "utf-8")
        environ = {f"OPENCODE_DISABLE_{what}": "1" for what in OFF}
        return Command([run.install.entry, "run", run.prompt], environ)

    return start


def _config(package: str, run: Run) -> dict[str, Any]:
    options = {"baseURL": run.base, "apiKey": run.key}
    provider = {"npm": package, "options": options, "models": {run.model: {"name": run.model}}}
    model = f"gateway/{run.model}"
    return {
        "autoupdate": False,
        "share": "disabled",
        "model": model,
        "small_model": model,
        "permission": {"edit": "allow", "bash": "allow"},
        "provider": {"gateway": provider},
    }


def _row(package: str, base: str, model: str, dialect: Dialect) -> Row:
    return Row("opencode", package, base, model, dialect, over(package))


ROWS = [
    _row("@ai-sdk/openai-compatible", "/v1", "kimi-k2.5", Dialect.OPENAI_CHAT),
    _row("@ai-sdk/openai", "/v1", "gpt-5.4", Dialect.OPENAI_RESPONSES),
    _row("@ai-sdk/anthropic", "/v1", "claude-sonnet-4-6", Dialect.ANTHROPIC_MESSAGES),
    _row("@ai-sdk/google", "/v1beta", "gemini-2.5-pro", Dialect.GEMINI),
]
