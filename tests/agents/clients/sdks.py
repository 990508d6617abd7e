"""Agent SDKs: a small program of ours on each, in `programs/`, which prints nothing that matters."""

import shutil
from collections.abc import Callable
from pathlib import Path

from tests.agents import installing
from tests.agents.running import Command, Row, Run

from hypereal.kit.dialects import Dialect

PROGRAMS = Path(__file__).parents[1] / "programs"


def in_python(program: str, kind: str) -> Callable[[Run], Command]:
    """A start of PROGRAM with the client's interpreter; KIND says which class of the SDK is used."""

    def start(run: Run) -> Command:
        argv = [run.install.entry, PROGRAMS / program, kind, run.base, run.model, run.prompt]
        return Command(argv, {"GATEWAY_KEY": run.key})

    return start


def in_node(program: str, kind: str) -> Callable[[Run], Command]:
    """The same for Node, which looks for packages beside the program."""

    def start(run: Run) -> Command:
        shutil.copy(PROGRAMS / program, run.home)
        (run.home / "node_modules").symlink_to(run.install.entry)
        return Command(
            [installing.node(), run.home / program, kind, run.base, run.model, run.prompt], {"GATEWAY_KEY": run.key}
        )

    return start


CHAT, RESPONSES = Dialect.OPENAI_CHAT, Dialect.OPENAI_RESPONSES
MESSAGES, GEMINI = Dialect.ANTHROPIC_MESSAGES, Dialect.GEMINI


def _agents(kind: str, dialect: Dialect, model: str = "gpt-5.4", upstream: Dialect | None = None) -> Row:
    start = in_python("agents_sdk.py", kind)
    return Row("openai-agents", kind, "/v1", model, dialect, start, upstream)


def _langchain(kind: str, base: str, model: str, dialect: Dialect) -> Row:
    return Row("langchain", kind, base, model, dialect, in_python("langchain_agent.py", kind))


def _ai_sdk(kind: str, base: str, model: str, dialect: Dialect, upstream: Dialect | None = None) -> Row:
    return Row("ai-sdk", kind, base, model, dialect, in_node("ai_sdk.mjs", kind), upstream)


ROWS = [
    _agents("responses, streamed", RESPONSES),
    _agents("responses", RESPONSES),
    _agents("chat, streamed", CHAT),
    _agents("chat", CHAT),
    _agents("responses, by id, streamed", RESPONSES, "kimi-k2.5", CHAT),
    _agents("responses, by id", RESPONSES, "kimi-k2.5", CHAT),
    _langchain("ChatOpenAI, streamed", "/v1", "gpt-5.4", CHAT),
    _langchain("ChatOpenAI", "/v1", "gpt-5.4", CHAT),
    _langchain("ChatOpenAI (Responses)", "/v1", "gpt-5.4", RESPONSES),
    _langchain("ChatAnthropic, streamed", "", "claude-sonnet-4-6", MESSAGES),
    _langchain("ChatAnthropic", "", "claude-sonnet-4-6", MESSAGES),
    _langchain("ChatGoogleGenerativeAI, streamed", "", "gemini-2.5-pro", GEMINI),
    _langchain("ChatGoogleGenerativeAI", "", "gemini-2.5-pro", GEMINI),
    _ai_sdk("openai, streamed", "/v1", "gpt-5.4", RESPONSES),
    _ai_sdk("openai", "/v1", "gpt-5.4", RESPONSES),
    _ai_sdk("openai.chat, streamed", "/v1", "gpt-5.4", CHAT),
    _ai_sdk("openai.chat", "/v1", "gpt-5.4", CHAT),
    _ai_sdk("openai-compatible, streamed", "/v1", "kimi-k2.5", CHAT),
    _ai_sdk("anthropic, streamed", "/v1", "claude-sonnet-4-6", MESSAGES),
    _ai_sdk("anthropic", "/v1", "claude-sonnet-4-6", MESSAGES),
    _ai_sdk("google, streamed", "/v1beta", "gemini-2.5-pro", GEMINI),
    _ai_sdk("google", "/v1beta", "gemini-2.5-pro", GEMINI),
    _ai_sdk("openai, streamed", "/v1", "kimi-k2.5", RESPONSES, CHAT),
    _ai_sdk("openai", "/v1", "kimi-k2.5", RESPONSES, CHAT),
    _ai_sdk("anthropic, streamed", "/v1", "gpt-5.4", MESSAGES, CHAT),
    _ai_sdk("anthropic", "/v1", "gpt-5.4", MESSAGES, CHAT),
    _ai_sdk("google, streamed", "/v1beta", "gpt-5.4", GEMINI, CHAT),
    _ai_sdk("google", "/v1beta", "gpt-5.4", GEMINI, CHAT),
]
