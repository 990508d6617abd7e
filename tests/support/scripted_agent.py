"""What a scripted upstream answers to a coding agent: a file is written, a command is run, then the agent is done.

Any client, any dialect: the tools are those which the client offers, and how far the work is follows from the results
that the conversation already has, so nothing is remembered between requests. What clients ask beside the work (titles,
routers, token counts) gets a fitting answer.
"""

import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import upstream, vendors
from tests.support.upstream import Recorded, Script

from hypereal.kit.dialects import Dialect

DONE = "Both files are there."
ASIDE = "A small task"
_PROMPT = "Write the word {word} to the file {file} and then copy it to {copy} with a command."
_PROMPT_READ = re.compile(_PROMPT.format(word=r"(?P<word>\S+)", file=r"(?P<file>\S+)", copy=r"(?P<copy>\S+)"))


@dataclass(frozen=True)
class Task:
    """What the agent is asked to do. Paths and word have no space."""

    word: str
    file: str
    copy: str

    @classmethod
    def within(cls, folder: Path, word: str) -> "Task":
        """With both files in FOLDER."""
        return cls(word, str(folder / "asked.txt"), str(folder / "copied.txt"))

    @property
    def prompt(self) -> str:
        return _PROMPT.format(word=self.word, file=self.file, copy=self.copy)

    @property
    def command(self) -> str:
        """What the command does that the agent is told to run."""
        return shlex.join(["cp", self.file, self.copy])


# -- what clients offer, by the names of their tools -------------------------------------------------------------------


def _patch(task: Task) -> str:
    return f"*** Begin Patch\n*** Add File: {task.file}\n+{task.word}\n*** End Patch\n"


def _echo(task: Task) -> str:
    return f"echo {task.word} > {shlex.quote(task.file)}"


def _described(command: str) -> dict[str, Any]:
    return {"command": command, "description": "One step of the task"}


Arguments = Callable[[Task], dict[str, Any] | str]
WRITERS: Mapping[str, Arguments] = {
    "Write": lambda task: {"file_path": task.file, "content": task.word},  # Claude Code
    "write": lambda task: {"filePath": task.file, "content": task.word},  # OpenCode
    "write_file": lambda task: {"file_path": task.file, "content": task.word},  # Gemini CLI, our own programs
    "apply_patch": lambda task: {"patchText": _patch(task)},  # OpenCode with newer GPT models
    "exec_command": lambda task: {"cmd": _echo(task)},  # Codex
    "shell_command": lambda task: {"command": _echo(task)},  # Codex with older models
    "shell": lambda task: {"command": ["sh", "-c", _echo(task)]},
}
"""Tools that can write the file, the first that is offered is used -> what to call them with."""
FREE_TEXT_WRITERS: Mapping[str, Arguments] = {"apply_patch": _patch}  # Codex
RUNNERS: Mapping[str, Arguments] = {
    "Bash": lambda task: _described(task.command),
    "bash": lambda task: _described(task.command),
    "run_shell_command": lambda task: _described(task.command),
    "run_command": lambda task: {"command": task.command},
    "exec_command": lambda task: {"cmd": task.command},
    "shell_command": lambda task: {"command": task.command},
    "shell": lambda task: {"command": ["sh", "-c", task.command]},
}
"""The same for the command."""


# -- reading a conversation --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Conversation:
    """What a call to a model tells, whatever its dialect."""

    dialect: Dialect
    tools: frozenset[str]
    free_text_tools: frozenset[str]
    results: int
    """Of tools, that it holds."""
    schema: Any
    """What the answer must be an instance of; None for text."""
    task: Task | None

    @property
    def is_step(self) -> bool:
        """Whether it is a turn of the task, not something asked beside it."""
        known = WRITERS.keys() | RUNNERS.keys()
        return self.task is not None and not known.isdisjoint(self.tools | self.free_text_tools)


Parts = tuple[list[Any], int, Any]
"""Tools, the number of their results, the schema of the answer."""


def _chat_parts(body: Any) -> Parts:
    tools = [tool.get("function", {}) for tool in body.get("tools") or []]
    results = sum(message.get("role") == "tool" for message in body["messages"])
    return tools, results, (body.get("response_format") or {}).get("json_schema", {}).get("schema")


def _responses_parts(body: Any) -> Parts:
    items = body["input"] if isinstance(body["input"], list) else []
    results = sum(item.get("type", "").endswith("call_output") for item in items)
    return body.get("tools") or [], results, (body.get("text") or {}).get("format", {}).get("schema")


def _messages_parts(body: Any) -> Parts:
    blocks = [block for message in body["messages"] for block in message["content"] if isinstance(block, dict)]
    results = sum(block["type"] == "tool_result" for block in blocks)
    return body.get("tools") or [], results, (body.get("output_config") or {}).get("format", {}).get("schema")


def _gemini_parts(body: Any) -> Parts:
    tools = [function for tool in body.get("tools") or [] for function in tool.get("functionDeclarations", [])]
    results = sum("functionResponse" in part for content in body["contents"] for part in content.get("parts", []))
    config = body.get("generationConfig", {})
    return tools, results, config.get("responseJsonSchema") or config.get("responseSchema")


def read(recorded: Recorded) -> Conversation | None:
    """What RECORDED tells; None where it is no call to a model."""
    path = recorded.path.partition("?")[0]
    dialect = next((dialect for dialect, form in FORMS.items() if form.path in path), None)
    if dialect is None or path.endswith("/count_tokens"):
        return None
    body = recorded.json
    tools, results, schema = FORMS[dialect].parts(body)
    free_text = {tool["name"] for tool in tools if tool.get("type") == "custom"}
    named = {tool["name"] for tool in tools if "name" in tool}
    return Conversation(dialect, frozenset(named - free_text), frozenset(free_text), results, schema, _task(body))


def _task(body: Any) -> Task | None:
    """What the agent was asked, wherever its client put that."""
    found = next((found for text in _texts(body) if (found := _PROMPT_READ.search(text))), None)
    return None if found is None else Task(**found.groupdict())


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for member in value.values() if isinstance(value, dict) else value:
            yield from _texts(member)


# -- the next step -----------------------------------------------------------------------------------------------------


def answer(recorded: Recorded) -> Script:
    """The next step of the task that RECORDED asks for, or what it asks beside."""
    asked = read(recorded)
    if asked is None:
        return upstream.default(recorded)
    form = FORMS[asked.dialect]
    if (call := _next_call(asked)) is not None:
        number = asked.results + 1
        return _written(recorded, lambda: form.tool(call, number), lambda: form.tool_events(call, number))
    text = DONE if asked.is_step else ASIDE
    if asked.schema is not None:
        text = json.dumps(_instance(asked.schema))
    return _written(recorded, lambda: form.text(text), lambda: form.text_events([text[:9], text[9:]]))


def _next_call(asked: Conversation) -> vendors.ToolCall | None:
    """The tool to be called now; None where all is done or the client offers no such tool."""
    if asked.task is None or asked.results > 1:
        return None
    if asked.results:
        return _chosen(RUNNERS, asked.tools, asked.task)
    free_text = _chosen(FREE_TEXT_WRITERS, asked.free_text_tools, asked.task)
    return free_text or _chosen(WRITERS, asked.tools, asked.task)


def _chosen(known: Mapping[str, Arguments], offered: frozenset[str], task: Task) -> vendors.ToolCall | None:
    return next(((name, arguments(task)) for name, arguments in known.items() if name in offered), None)


def _instance(schema: Any) -> Any:
    """The least value that SCHEMA allows, as far as clients' schemas go. Gemini writes types in upper case."""
    match schema["type"].lower():
        case "object":
            return {name: _instance(member) for name, member in schema["properties"].items()}
        case "integer" | "number":
            return schema.get("minimum", 1)
        case _:
            return schema.get("enum", [ASIDE])[0]


def _written(recorded: Recorded, whole: Callable[[], Any], events: Callable[[], list[bytes]]) -> Script:
    return upstream.stream(events()) if recorded.wants_stream else upstream.plain(whole())


@dataclass(frozen=True)
class Form:
    """How one dialect is read and written."""

    path: str
    """A part of every path that speaks it."""
    parts: Callable[[Any], Parts]
    text: Callable[[str], Any]
    text_events: Callable[[list[str]], list[bytes]]
    tool: Callable[[vendors.ToolCall, int], Any]
    tool_events: Callable[[vendors.ToolCall, int], list[bytes]]


FORMS = {
    Dialect.OPENAI_CHAT: Form(
        "/chat/completions",
        _chat_parts,
        vendors.chat_answer,
        vendors.chat_events,
        vendors.chat_tool_answer,
        vendors.chat_tool_events,
    ),
    Dialect.OPENAI_RESPONSES: Form(
        "/responses",
        _responses_parts,
        vendors.responses_answer,
        vendors.responses_events,
        vendors.responses_tool_answer,
        vendors.responses_tool_events,
    ),
    Dialect.ANTHROPIC_MESSAGES: Form(
        "/messages",
        _messages_parts,
        vendors.messages_answer,
        vendors.messages_events,
        vendors.messages_tool_answer,
        vendors.messages_tool_events,
    ),
    Dialect.GEMINI: Form(
        "enerateContent",
        _gemini_parts,
        vendors.gemini_answer,
        vendors.gemini_events,
        vendors.gemini_tool_answer,
        vendors.gemini_tool_events,
    ),
}
