"""The local provider with the real model, through the official clients and as agents speak to it."""

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from tests.support import processes
from tests.support.local_model import MAIN, LocalModel, needs_local_model

from hypereal.serve.local_model.engine import NOT_INSTALLED
from hypereal.serve.local_model.prompt import CONTEXT_TOKENS, OUTPUT_TOKENS_MAX

HI = [{"role": "user", "content": "Say hi to Ann."}]
CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"


@pytest.fixture
def run_dir() -> Iterator[Path]:
    with processes.short_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def local() -> Iterator[LocalModel]:
    with processes.short_folder() as folder:
        running = LocalModel(folder)
        yield running
        running.end()


@pytest.fixture
def http(local: LocalModel) -> Iterator[httpx2.Client]:
    with local.client() as client:
        yield client


@pytest.fixture
def chat(http: httpx2.Client) -> openai.OpenAI:
    return openai.OpenAI(api_key="none", base_url="http://local/v1", http_client=http, max_retries=0)


@pytest.fixture
def claude(http: httpx2.Client) -> anthropic.Anthropic:
    return anthropic.Anthropic(api_key="none", base_url="http://local", http_client=http, max_retries=0)


@needs_local_model
def test_chat_answers_with_the_callers_model_and_real_usage(chat: openai.OpenAI) -> None:
    answer = chat.chat.completions.create(model="gpt-5", messages=HI, max_completion_tokens=12)  # type: ignore[arg-type]
    assert answer.model == "gpt-5"
    assert answer.choices[0].message.content
    assert answer.usage is not None
    assert 1 <= answer.usage.completion_tokens <= 12
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


@needs_local_model
def test_chat_streams_the_same_usage_as_it_counts_whole(chat: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": "gpt-5", "messages": HI, "max_tokens": 12, "temperature": 0, "seed": 1}
    whole = chat.chat.completions.create(**asked)
    chunks = list(chat.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert {chunk.model for chunk in chunks} == {"gpt-5"}
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.prompt_tokens == whole.usage.prompt_tokens
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens


@needs_local_model
def test_chat_keeps_to_a_json_schema(chat: openai.OpenAI) -> None:
    schema = {"type": "object", "properties": {"colour": {"enum": ["red", "blue"]}}, "required": ["colour"]}
    answer = chat.chat.completions.create(
        model="gpt-5",
        messages=[{"role": "user", "content": "A colour, as JSON."}],
        response_format={"type": "json_schema", "json_schema": {"name": "colour", "schema": schema}},
    )
    assert json.loads(answer.choices[0].message.content or "")["colour"] in {"red", "blue"}


@needs_local_model
def test_messages_answer_and_stream(claude: anthropic.Anthropic) -> None:
    asked: dict[str, Any] = {"model": "claude-sonnet-4-6", "max_tokens": 12, "system": "Be brief.", "messages": HI}
    whole = claude.messages.create(**asked)
    with claude.messages.stream(**asked) as stream:
        streamed = stream.get_final_message()
    for answer in (whole, streamed):
        assert answer.model == "claude-sonnet-4-6"
        assert answer.id.startswith("msg_")
        assert answer.content[0].type == "text"
        assert answer.stop_reason in {"end_turn", "max_tokens"}
        assert 1 <= answer.usage.output_tokens <= 12
    counted = claude.messages.count_tokens(model="claude-sonnet-4-6", system="Be brief.", messages=HI)  # type: ignore[arg-type]
    for answer in (whole, streamed):
        assert answer.usage.input_tokens + (answer.usage.cache_read_input_tokens or 0) == counted.input_tokens


@needs_local_model
def test_responses_answer_and_stream(chat: openai.OpenAI) -> None:
    schema = {"type": "object", "properties": {"colour": {"enum": ["red", "blue"]}}, "required": ["colour"]}
    shape = {"format": {"type": "json_schema", "name": "colour", "schema": schema}}
    asked: dict[str, Any] = {"model": "gpt-5", "input": "A colour, as JSON.", "text": shape}
    whole = chat.responses.create(**asked)
    with chat.responses.stream(**asked) as stream:
        events = list(stream)
        streamed = stream.get_final_response()
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert {"response.created", "response.output_item.done", "response.completed"} <= {event.type for event in events}
    for answer in (whole, streamed):
        assert answer.status == "completed"
        assert answer.model == "gpt-5"
        assert json.loads(answer.output_text)["colour"] in {"red", "blue"}
        assert answer.usage is not None
        assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens


@needs_local_model
def test_a_response_cut_by_the_callers_limit_is_incomplete(chat: openai.OpenAI) -> None:
    answer = chat.responses.create(model="gpt-5", input="Tell a long story.", max_output_tokens=4)
    assert answer.status == "incomplete"
    assert answer.incomplete_details is not None
    assert answer.incomplete_details.reason == "max_output_tokens"


@needs_local_model
def test_claude_code_is_answered_from_the_head_and_tail_of_its_prompt(http: httpx2.Client) -> None:
    tool = {"description": "What it does. " * 150, "input_schema": {"type": "object", "properties": {}}}
    body = {
        "model": "claude-sonnet-4-6",
        "max_tokens": 32000,
        "stream": True,
        "system": [{"type": "text", "text": "You help. " * 2000, "cache_control": {"type": "ephemeral"}}],
        "tools": [{"name": f"tool_{number}", **tool} for number in range(25)],
        "thinking": {"type": "adaptive"},
        "context_management": {"edits": []},
        "metadata": {"user_id": "{}"},
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Run ls."}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "abc"},
                    {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"command": "ls"}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "a"}]}
                ],
            },
            {"role": "system", "content": "Answer now."},
        ],
    }
    assert len(json.dumps(body)) > 60_000
    with http.stream("POST", f"{MESSAGES}?beta=true", json=body) as answer:
        assert answer.status_code == 200
        assert answer.headers["x-hypereal-local-truncated"] == "true"
        start = json.loads(
            next(line for line in answer.iter_lines() if line.startswith("data: ")).removeprefix("data: ")
        )
    usage = start["message"]["usage"]
    assert 900 < usage["input_tokens"] + usage["cache_read_input_tokens"] <= CONTEXT_TOKENS - OUTPUT_TOKENS_MAX


@needs_local_model
def test_codex_is_answered(http: httpx2.Client) -> None:
    body = {
        "model": "gpt-5.3-codex",
        "stream": True,
        "max_output_tokens": 8,
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "reasoning": {"effort": "high", "summary": "auto"},
        "text": {"verbosity": "low"},
        "tools": [
            {"type": "custom", "name": "apply_patch"},
            {"type": "namespace", "tools": []},
            {"type": "web_search"},
        ],
        "input": [
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Be brief."}]},
            {"role": "user", "content": [{"type": "input_text", "text": "Run ls."}]},
            {"type": "reasoning", "id": "rs_1", "summary": [], "content": None, "encrypted_content": "abc"},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Yes."}]},
            {"type": "function_call", "call_id": "c1", "name": "shell", "arguments": '{"command":["ls"]}'},
            {"type": "function_call_output", "call_id": "c1", "output": "a.txt"},
        ],
    }
    answer = http.post(RESPONSES, json=body)
    assert answer.status_code == 200, answer.text
    last = json.loads(answer.text.strip().rpartition("data: ")[2])
    assert last["type"] in {"response.completed", "response.incomplete"}
    assert last["response"]["usage"]["total_tokens"] > 0


@needs_local_model
@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"{", "not a JSON object"),
        (b"[]", "not a JSON object"),
        (b'{"messages": []}', "no text to answer"),
        (b'{"messages": [{"role": "user", "content": "x"}], "max_tokens": "many"}', "max_tokens"),
        (b'{"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}', "reads text only"),
        (b'{"messages": [{"role": "user", "content": "x"}], "n": 3}', "'n'"),
    ],
)
def test_a_request_that_cannot_be_answered_is_400_and_says_why(http: httpx2.Client, body: bytes, says: str) -> None:
    answer = http.post(CHAT, content=body)
    assert answer.status_code == 400
    assert says in answer.json()["error"]["message"]
    assert answer.json()["error"]["type"] == "invalid_request_error"


@needs_local_model
def test_four_wait_and_the_next_is_refused(local: LocalModel) -> None:
    long = {"stream": True, "messages": [{"role": "user", "content": "Count from 1 to 500, one number a line."}]}

    async def crowd() -> list[httpx2.Response]:
        transport = httpx2.AsyncHTTPTransport(uds=str(local.socket_path))
        async with httpx2.AsyncClient(transport=transport, base_url="http://local", timeout=60) as client:
            calls = [
                asyncio.create_task(client.send(client.build_request("POST", CHAT, json=long), stream=True))
                for _ in range(6)
            ]
            heads: list[httpx2.Response] = []
            for call in asyncio.as_completed(calls):
                heads.append(await call)
                if len(heads) == 2:
                    break
            for waiting in calls:
                waiting.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
            for head in heads:
                await head.aclose()
            return heads

    heads = {head.status_code: head for head in asyncio.run(crowd())}
    assert set(heads) == {200, 429}
    assert 1 <= int(heads[429].headers["retry-after"]) <= 30
    processes.wait_until(lambda: not local.is_generating(), "callers who left stop the engine")


@needs_local_model
def test_a_caller_who_leaves_stops_the_engine(local: LocalModel, http: httpx2.Client) -> None:
    long = {"stream": True, "messages": [{"role": "user", "content": "Count from 1 to 500, one number a line."}]}
    with http.stream("POST", CHAT, json=long) as answer:
        next(answer.iter_bytes())
        assert local.is_generating()
    processes.wait_until(lambda: not local.is_generating(), "the engine stops")


@needs_local_model
def test_it_is_nice_and_bounded_in_memory(local: LocalModel) -> None:
    pid = local.process.pid
    assert os.getpriority(os.PRIO_PROCESS, pid) == 10
    limits = Path(f"/proc/{pid}/limits").read_text()
    assert f"Max address space         {2 * 1024**3}" in limits


@needs_local_model
def test_it_leaves_with_its_supervisor(run_dir: Path) -> None:
    running = LocalModel(run_dir)
    assert running.let_go() == 0
    running.end()


def test_it_leaves_when_nobody_calls(run_dir: Path) -> None:
    quick = "from hypereal.serve.local_model import __main__ as child; child.IDLE_S_MAX = 0.2; child.main()"
    running = LocalModel(run_dir, code=quick)
    assert running.process.wait(processes.WAIT_S_MAX) == 0
    running.end()


def test_without_its_packages_it_says_how_to_get_them(run_dir: Path) -> None:
    running = LocalModel(run_dir, code=f"import sys; sys.modules['xllamacpp'] = None; {MAIN}")
    with running.client() as client:
        answer = client.post(CHAT, json={"messages": HI})
        assert client.get("/health").status_code == 503
    running.end()
    assert answer.status_code == 503
    assert answer.json()["error"]["message"] == NOT_INSTALLED
    assert "hypereal doctor --install-local" in NOT_INSTALLED


def test_after_too_many_crashes_it_only_says_so(run_dir: Path) -> None:
    running = LocalModel(run_dir, failure="local crashed too often.")
    with running.client() as client:
        answer = client.post(RESPONSES, json={"input": "hi"})
    running.end()
    assert answer.status_code == 503
    assert answer.json()["error"]["message"] == "local crashed too often."
