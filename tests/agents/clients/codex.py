"""Codex CLI: a provider of its own in config.toml, or its built-in one with another base URL."""

import json

from tests.agents.running import Command, Row, Run

from hypereal.kit.dialects import Dialect

# Codex's own sandbox needs more of a kernel than every machine allows, and is not what is tested.
OPTIONS = ["--skip-git-repo-check", "-s", "danger-full-access", "--json"]
CONFIG = """\
model = {model}
check_for_update_on_startup = false
{provider}
[analytics]
enabled = false
"""
CUSTOM = """\
model_provider = "gateway"
[model_providers.gateway]
name = "Gateway"
base_url = {base}
wire_api = "responses"
env_key = "GATEWAY_KEY"
"""
BUILT_IN = "openai_base_url = {base}\n"


def custom_provider(run: Run) -> Command:
    """A `[model_providers]` table."""
    return _start(run, CUSTOM, {"GATEWAY_KEY": run.key})


def built_in_provider(run: Run) -> Command:
    """The provider for OpenAI itself, which tries WebSocket first."""
    return _start(run, BUILT_IN, {"OPENAI_API_KEY": run.key, "CODEX_API_KEY": run.key})


def _start(run: Run, provider: str, environ: dict[str, str]) -> Command:
    config = CONFIG.format(model=json.dumps(run.model), provider=provider.format(base=json.dumps(run.base)))
    (run.home / ".codex").mkdir()
    (run.home / ".codex" / "config.toml").write_text(config, "utf-8")
    return Command([run.install.entry, "exec", *OPTIONS, run.prompt], environ)


RESPONSES = Dialect.OPENAI_RESPONSES
ROWS = [
    Row("codex", "custom provider", "/v1", "gpt-5.3-codex", RESPONSES, custom_provider),
    Row("codex", "custom provider", "/api/v1", "gpt-5.3-codex", RESPONSES, custom_provider),
    Row("codex", "custom provider", "/api/v1/codex", "gpt-5.3-codex", RESPONSES, custom_provider),
    Row("codex", "built-in provider", "/v1", "gpt-5.3-codex", RESPONSES, built_in_provider),
    Row("codex", "custom provider, free-text tools", "/v1", "gpt-5.5", RESPONSES, custom_provider),
    Row("codex", "a chat-only model", "/v1", "kimi-k2.5", RESPONSES, custom_provider, upstream=Dialect.OPENAI_CHAT),
]
