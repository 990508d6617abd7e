import pytest

from hypereal.kit.errors import InvalidRequest
from hypereal.wire.openai_chat import OpenAIChat
from hypereal.wire.profiles import PROFILES

CHAT = OpenAIChat()
PLAIN = PROFILES["openai"]
HEAD = b'{"model":"m","messages":[]'


def chunk(choices: bytes, rest: bytes = b"") -> bytes:
    return b'data: {"choices":' + choices + rest + b"}\n\n"


END = b'[{"finish_reason":"stop"}]'


@pytest.mark.parametrize(
    ("rest", "limit"),
    [
        (b"", None),
        (b',"max_tokens":5', 5),
        (b',"max_tokens":5,"max_completion_tokens":9', 9),
        (b',"max_tokens":5,"max_completion_tokens":null', 5),
    ],
)
def test_the_output_limit_is_the_newer_field_then_the_older(rest: bytes, limit: int | None) -> None:
    assert CHAT.read(HEAD + rest + b"}").output_tokens_max == limit


@pytest.mark.parametrize(
    "rest",
    [
        b',"max_tokens":0',
        b',"n":0',
        b',"n":"2"',
        b',"stream":true,"stream_options":[]',
        b',"stream":true,"stream_options":{"include_usage":1}',
    ],
)
def test_wrong_types_are_refused(rest: bytes) -> None:
    with pytest.raises(InvalidRequest):
        CHAT.read(HEAD + rest + b"}")


@pytest.mark.parametrize(
    ("rest", "wants"),
    [
        (b"", True),
        (b',"stream":true', False),
        (b',"stream":true,"stream_options":{"include_usage":false}', False),
        (b',"stream":true,"stream_options":{"include_usage":true}', True),
    ],
)
def test_only_a_stream_that_did_not_ask_for_usage_does_not_want_it(rest: bytes, wants: bool) -> None:
    assert CHAT.read(HEAD + rest + b"}").wants_usage is wants


def test_usage_is_asked_of_every_stream_and_of_no_plain_call() -> None:
    plain = CHAT.write(CHAT.read(HEAD + b"}"), "up", PLAIN)
    stream = CHAT.write(CHAT.read(HEAD + b',"stream":true,"stream_options":{"x": 1.0 }}'), "up", PLAIN)
    assert b"stream_options" not in plain
    assert stream.endswith(b'"stream_options":{"x":1.0,"include_usage":true}}')


def test_stream_from_the_path_is_written_into_the_body() -> None:
    request = CHAT.read(HEAD + b',"stream":false}', stream=True)
    assert request.stream
    assert b'"stream":true' in CHAT.write(request, "up", PLAIN)


@pytest.mark.parametrize(
    ("tail", "is_complete"),
    [
        (chunk(END) + b"data: [DONE]\n\n", True),
        (b"data: [DONE]", True),
        (b"data:[DONE]\r\n\r\n: bye\r\n\r\n", True),
        (chunk(END, b',"usage":{"prompt_tokens":1,"completion_tokens":1}'), True),
        (chunk(END), False),
        (chunk(b"[]", b',"usage":{"prompt_tokens":1,"completion_tokens":1}'), False),
        (chunk(b'[{"delta":{"content":"data: [DONE]"}}]'), False),
        (b"", False),
    ],
)
def test_a_stream_is_complete_with_done_or_with_reason_and_usage(tail: bytes, is_complete: bool) -> None:
    assert CHAT.is_complete(tail) is is_complete


def test_usage_in_a_callers_text_is_never_taken() -> None:
    text = b'[{"delta":{"content":"\\"usage\\":{\\"prompt_tokens\\":9,\\"completion_tokens\\":9}"}}]'
    assert CHAT.usage_of_stream(b"", chunk(text), PLAIN) is None
    nested = b'[{"delta":{"usage":{"prompt_tokens":9,"completion_tokens":9}}}]'
    assert CHAT.usage_of_stream(b"", chunk(nested), PLAIN) is None


def test_an_image_counts_by_the_vendors_rule_and_not_by_its_bytes() -> None:
    image = b'{"type":"image_url","image_url":{"url":"data:image/png;base64,' + b"A" * 100_000 + b'"}}'
    request = CHAT.read(b'{"model":"m","messages":[{"role":"user","content":[' + image + b"]}]}")
    assert CHAT.image_tokens < CHAT.input_tokens_max(request) < CHAT.image_tokens + 200
    assert CHAT.image_tokens < CHAT.estimate_input(request) < CHAT.image_tokens + 50
