import json

import pytest

from hypereal.kit.errors import UpstreamFailed
from hypereal.wire.folding import openai_chat as folding


def stream(*deltas: dict[str, object], reason: str = "stop") -> bytes:
    pieces = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    pieces.append({"id": "x", "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
    return b"".join(b"data: " + json.dumps(piece).encode() + b"\n\n" for piece in pieces)


def message(*deltas: dict[str, object]) -> dict[str, object]:
    return json.loads(folding.fold(stream(*deltas)))["choices"][0]["message"]


def test_text_reasoning_and_refusals_are_joined() -> None:
    folded = message(
        {"role": "assistant", "content": "a"}, {"reasoning_content": "r"}, {"content": "b", "refusal": "n"}
    )
    assert folded == {"role": "assistant", "content": "ab", "reasoning_content": "r", "refusal": "n"}


def test_tool_calls_are_matched_by_index_however_they_interleave() -> None:
    def piece(index: int, arguments: str, **head: str) -> dict[str, object]:
        name = {"name": head["name"]} if head else {}
        return {"tool_calls": [{"index": index, **head, "function": {**name, "arguments": arguments}}]}

    folded = message(piece(0, "{", id="a", name="f"), piece(1, "[", id="b", name="g"), piece(0, "}"), piece(1, "]"))
    calls = folded["tool_calls"]
    assert [(call["id"], call["function"]) for call in calls] == [
        ("a", {"name": "f", "arguments": "{}"}),
        ("b", {"name": "g", "arguments": "[]"}),
    ]
    assert not any("index" in call for call in calls)


def test_whole_calls_without_an_index_stay_apart() -> None:
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    assert message({"tool_calls": [call]}, {"tool_calls": [call | {"id": "b"}]})["tool_calls"] == [
        call,
        call | {"id": "b"},
    ]


@pytest.mark.parametrize("broken", [b"", b"data: [DONE]\n\n", b"data: {\n\n", b'data: {"choices":[]}\n\n'])
def test_a_stream_without_a_choice_is_refused(broken: bytes) -> None:
    with pytest.raises(UpstreamFailed):
        folding.fold(broken)


def test_an_error_in_the_middle_is_raised_with_its_message() -> None:
    with pytest.raises(UpstreamFailed, match="out of memory"):
        folding.fold(stream({"content": "a"}) + b'data: {"error":{"message":"out of memory"}}\n\n')
