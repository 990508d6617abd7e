"""Claude Code: base URL without /v1, the key in either of two variables."""

from collections.abc import Callable

from tests.agents.running import Command, Row, Run

from hypereal.kit.dialects import Dialect

QUIET = {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1", "CLAUDE_CODE_MAX_RETRIES": "2"}
OPTIONS = ["--permission-mode", "acceptEdits", "--allowedTools", "Write Bash", "--output-format", "json"]


def with_key_in(variable: str) -> Callable[[Run], Command]:
    """A start that gives the key in VARIABLE."""

    def start(run: Run) -> Command:
        argv = [run.install.entry, "-p", run.prompt, "--model", run.model, *OPTIONS]
        return Command(argv, {"ANTHROPIC_BASE_URL": run.base, variable: run.key, **QUIET})

    return start


def _row(base: str, model: str, variable: str) -> Row:
    return Row("claude-code", variable, base, model, Dialect.ANTHROPIC_MESSAGES, with_key_in(variable))


def _other(how: str, model: str, upstream: Dialect | None = None) -> Row:
    start = with_key_in("ANTHROPIC_AUTH_TOKEN")
    return Row("claude-code", how, "", model, Dialect.ANTHROPIC_MESSAGES, start, upstream)


ROWS = [
    *(_row(base, "claude-sonnet-4-6", "ANTHROPIC_AUTH_TOKEN") for base in ("", "/api", "/api/v1")),
    *(_row(base, "claude-sonnet-4-6", "ANTHROPIC_API_KEY") for base in ("", "/api", "/api/v1")),
    _other("a model by its family's name", "opus"),
    _other("another vendor's model", "glm-5"),
    _other("a GPT model", "gpt-5.4", Dialect.OPENAI_CHAT),
    _other("a chat-only model", "kimi-k2.5", Dialect.OPENAI_CHAT),
]
