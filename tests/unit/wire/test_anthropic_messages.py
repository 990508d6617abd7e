import json

import pytest

from hypereal.kit.usage import Usage
from hypereal.wire.anthropic_messages import AnthropicMessages
from hypereal.wire.profiles import PROFILES

MESSAGES = AnthropicMessages()
PLAIN = PROFILES["anthropic"]
HEAD = b'{"model":"m","messages":[]'


@pytest.mark.parametrize(
    ("rest", "limit"),
    [
        (b',"max_tokens":1024,"thinking":{"type":"enabled","budget_tokens":10000}', 11024),
        (b',"max_tokens":1024,"thinking":{"type":"enabled","budget_tokens":1024}', 2048),
        (b',"max_tokens":1025,"thinking":{"type":"enabled","budget_tokens":1024}', 1025),
        (b',"max_tokens":10,"thinking":{"type":"disabled","budget_tokens":1024}', 10),
        (b',"max_tokens":10,"thinking":{"type":"adaptive"}', 10),
        (b',"max_tokens":10,"thinking":{"type":"enabled","budget_tokens":"many"}', 10),
        (b',"max_tokens":10,"thinking":null', 10),
        (b',"max_tokens":0', 0),
    ],
)
def test_max_tokens_is_raised_by_the_budget_only_where_that_is_not_below_it(rest: bytes, limit: int) -> None:
    request = MESSAGES.read(HEAD + rest + b"}")
    assert request.output_tokens_max == limit
    assert json.loads(MESSAGES.write(request, "m", PLAIN))["max_tokens"] == limit


def test_a_body_without_max_tokens_is_read_for_count_tokens() -> None:
    assert MESSAGES.read(HEAD + b"}").output_tokens_max is None


def test_a_stream_that_was_cut_still_knows_its_input() -> None:
    start = b'data: {"type":"message_start","message":{"usage":{"input_tokens":7,"output_tokens":2}}}\n\n'
    usage = MESSAGES.usage_of_stream(start, b'data: {"type":"ping"}\n\n', PLAIN)
    assert usage == Usage(input_tokens=7, output_tokens=2, is_estimated=True)


def test_text_that_names_events_is_no_event() -> None:
    said = b'data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"message_stop message_delta"}}\n\n'
    assert not MESSAGES.is_complete(said)
    assert MESSAGES.usage_of_stream(said, said, PLAIN) is None
