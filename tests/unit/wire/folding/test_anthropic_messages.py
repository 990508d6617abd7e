import json

import pytest

from hypereal.kit.errors import UpstreamFailed
from hypereal.wire.folding import anthropic_messages as folding

START = {"type": "message_start", "message": {"id": "m", "content": [], "usage": {"input_tokens": 3}}}


def stream(*events: dict[str, object]) -> bytes:
    return b"".join(b"event: e\ndata: " + json.dumps(event).encode() + b"\n\n" for event in events)


def fold(*events: dict[str, object]) -> dict[str, object]:
    return json.loads(folding.fold(stream(START, *events)))


def block(index: int, opening: dict[str, object], *deltas: dict[str, object]) -> list[dict[str, object]]:
    filled = [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
    return [{"type": "content_block_start", "index": index, "content_block": opening}, *filled]


def test_a_tool_without_pieces_keeps_the_input_of_its_start() -> None:
    folded = fold(*block(0, {"type": "tool_use", "id": "t", "input": {"a": 1}}))
    assert folded["content"] == [{"type": "tool_use", "id": "t", "input": {"a": 1}}]


def test_citations_and_unknown_blocks_stay() -> None:
    cited = {"type": "citations_delta", "citation": {"url": "u"}}
    folded = fold(*block(0, {"type": "text", "text": "a"}, cited), *block(1, {"type": "new_thing", "x": 1}))
    assert folded["content"] == [
        {"type": "text", "text": "a", "citations": [{"url": "u"}]},
        {"type": "new_thing", "x": 1},
    ]


def test_the_last_word_on_usage_counts_and_null_says_nothing() -> None:
    folded = fold({"type": "message_delta", "delta": {}, "usage": {"input_tokens": None, "output_tokens": 9}})
    assert folded["usage"] == {"input_tokens": 3, "output_tokens": 9}


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        stream({"type": "message_stop"}),
        stream(START, *block(0, {"type": "tool_use"}, {"type": "input_json_delta", "partial_json": '{"a'})),
        stream(START, {"type": "error", "error": {"type": "overloaded_error", "message": "full"}}),
    ],
)
def test_what_is_no_whole_message_is_refused(broken: bytes) -> None:
    with pytest.raises(UpstreamFailed):
        folding.fold(broken)
