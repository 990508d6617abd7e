"""Gemini CLI. Without `-m` it asks a small model first which model the task needs."""

import json

from tests.agents import installing
from tests.agents.running import Command, Row, Run

from hypereal.kit.dialects import Dialect

OPTIONS = ["--approval-mode", "yolo", "--output-format", "json"]
SETTINGS = {
    "security": {"auth": {"selectedType": "gemini-api-key"}},
    "privacy": {"usageStatisticsEnabled": False},
    "telemetry": {"enabled": False},
    "general": {"disableAutoUpdate": True},
}


def start(run: Run) -> Command:
    """With `-m` where the row names a model."""
    (run.home / ".gemini").mkdir()
    (run.home / ".gemini" / "settings.json").write_text(json.dumps(SETTINGS), "utf-8")
    model = ["-m", run.model] if run.model else []
    argv = [installing.node(), run.install.entry, *model, *OPTIONS, "-p", run.prompt]
    environ = {"GEMINI_API_KEY": run.key, "GOOGLE_GEMINI_BASE_URL": run.base, "GEMINI_CLI_TRUST_WORKSPACE": "true"}
    return Command(argv, environ)


GEMINI = Dialect.GEMINI
ROWS = [
    Row("gemini-cli", "-m", "/v1/gemini", "gemini-2.5-pro", GEMINI, start),
    Row("gemini-cli", "without -m", "/v1/gemini", "", GEMINI, start),
    Row("gemini-cli", "-m", "/api/v1/gemini", "gemini-2.5-pro", GEMINI, start),
    Row("gemini-cli", "-m", "", "gemini-2.5-flash", GEMINI, start),
    Row("gemini-cli", "a chat-only model", "/v1/gemini", "kimi-k2.5", GEMINI, start, upstream=Dialect.OPENAI_CHAT),
]
