"""Our heartbeats, errors and unfolded streams through the vendors' own clients, over a transport that replays bytes."""

from collections.abc import Callable
from pathlib import Path

import anthropic
import httpx2
import openai
import pytest

from hypereal.kit.dialects import Dialect
from hypereal.kit.errors import HyperealError, InsufficientCredits, Overloaded
from hypereal.wire import DIALECTS

GOLDEN = Path(__file__).parents[2] / "golden"
HELLO = [{"role": "user", "content": "hi"}]


def replay(body: bytes, status: int = 200, content_type: str = "text/event-stream") -> httpx2.Client:
    answer = httpx2.Response(status, content=body, headers={"content-type": content_type, "x-should-retry": "false"})
    return httpx2.Client(transport=httpx2.MockTransport(lambda _: answer))


def openai_client(client: httpx2.Client) -> openai.OpenAI:
    return openai.OpenAI(api_key="ck_0", base_url="http://127.0.0.1/v1", http_client=client)


def anthropic_client(client: httpx2.Client) -> anthropic.Anthropic:
    return anthropic.Anthropic(api_key="ck_0", base_url="http://127.0.0.1", http_client=client)


def ask_chat(client: httpx2.Client) -> str:
    chunks = openai_client(client).chat.completions.create(model="m", messages=HELLO, stream=True)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def ask_messages(client: httpx2.Client) -> str:
    with anthropic_client(client).messages.stream(model="m", max_tokens=9, messages=HELLO) as stream:
        return "".join(stream.text_stream)


def ask_responses(client: httpx2.Client) -> str:
    with openai_client(client).responses.stream(model="m", input="hi") as stream:
        failed = next((event for event in stream if event.type == "response.failed"), None)
        if failed is not None:
            raise openai.OpenAIError(failed.response.error.message)
        return stream.get_final_response().output_text


ASK: dict[Dialect, Callable[[httpx2.Client], str]] = {
    Dialect.OPENAI_CHAT: ask_chat,
    Dialect.ANTHROPIC_MESSAGES: ask_messages,
    Dialect.OPENAI_RESPONSES: ask_responses,
}
ANSWERS = {
    Dialect.OPENAI_CHAT: ("openai_chat/plain", "Yes"),
    Dialect.ANTHROPIC_MESSAGES: ("anthropic_messages/plain_thinking_budget", "12231"),
    Dialect.OPENAI_RESPONSES: ("openai_responses/plain_tools", "Done."),
}
every_client = pytest.mark.parametrize("name", ASK)


@every_client
def test_an_unfolded_answer_with_heartbeats_between_its_events_is_read(name: Dialect) -> None:
    dialect = DIALECTS[name]
    folder, text = ANSWERS[name]
    events = dialect.unfold((GOLDEN / folder / "upstream.json").read_bytes()).split(b"\n\n")[:-1]
    beating = b"".join(event + b"\n\n" + dialect.heartbeat(event + b"\n\n") for event in events)
    # The Responses helper wants `response.created` first; plain iteration takes a heartbeat there too.
    early = b"" if name is Dialect.OPENAI_RESPONSES else dialect.heartbeat()
    assert ASK[name](replay(early + beating)) == text


@every_client
@pytest.mark.parametrize(
    "error", [Overloaded("all full"), InsufficientCredits("all full")], ids=lambda error: error.type
)
def test_an_error_in_a_stream_is_raised_with_its_message(name: Dialect, error: HyperealError) -> None:
    dialect = DIALECTS[name]
    begun = dialect.unfold((GOLDEN / ANSWERS[name][0] / "upstream.json").read_bytes()).split(b"\n\n")[0] + b"\n\n"
    body = begun + dialect.error_event(error, "req_1", model="m", tail=begun)
    with pytest.raises((openai.OpenAIError, anthropic.AnthropicError), match="all full"):
        ASK[name](replay(body))


@every_client
def test_an_error_before_the_stream_is_raised_with_type_and_message(name: Dialect) -> None:
    body = DIALECTS[name].error_body(InsufficientCredits("top up"), "req_1")
    with pytest.raises((openai.APIStatusError, anthropic.APIStatusError), match="top up") as raised:
        ASK[name](replay(body, 402, "application/json"))
    assert raised.value.status_code == 402


@every_client
def test_a_folded_stream_is_read_where_json_was_asked(name: Dialect) -> None:
    dialect = DIALECTS[name]
    folder, text = ANSWERS[name]
    client = replay(
        dialect.fold(dialect.unfold((GOLDEN / folder / "upstream.json").read_bytes())), content_type="application/json"
    )
    match name:
        case Dialect.OPENAI_CHAT:
            answer = openai_client(client).chat.completions.create(model="m", messages=HELLO)
            assert answer.choices[0].message.content == text
        case Dialect.OPENAI_RESPONSES:
            assert openai_client(client).responses.create(model="m", input="hi").output_text == text
        case _:
            message = anthropic_client(client).messages.create(model="m", max_tokens=9, messages=HELLO)
            assert [block.text for block in message.content if block.type == "text"] == [text]
