from typing import Any

import pytest
from tests.support.bridging import DONE, USAGE, chunk

from hypereal.kit.errors import Overloaded, UpstreamFailed
from hypereal.wire.bridges import chat_answers
from hypereal.wire.bridges.chat_answers import Begun, ChatReader, Ended, Finished, Grown, Opened
from hypereal.wire.profiles import PROFILES


def pieces(*reads: bytes) -> list[Any]:
    reader = ChatReader(PROFILES["local"], "7")
    return [piece for each in reads for piece in reader.feed(each)] + list(reader.end())


def told(*reads: bytes) -> list[str]:
    """Pieces in short: `+TEXT`, `TEXT:a`, `-TEXT`."""
    short = []
    for piece in pieces(*reads):
        match piece:
            case Begun(block):
                short.append(f"+{block.name or block.kind.name}")
            case Grown(block, text):
                short.append(f"{block.name or block.kind.name}:{text}")
            case Ended(block):
                short.append(f"-{block.name or block.kind.name}")
    return short


def fragment(index: int | None, arguments: str, name: str = "", call_id: str = "") -> dict[str, Any]:
    call: dict[str, Any] = {} if index is None else {"index": index}
    named = {"name": name} if name else {}
    return call | ({"id": call_id} if call_id else {}) | {"function": {"arguments": arguments, **named}}


def calls(*fragments: dict[str, Any]) -> bytes:
    return chunk({"tool_calls": list(fragments)})


def test_blocks_follow_each_other() -> None:
    reads = [
        chunk({"reasoning_content": "r"}),
        chunk({"reasoning_content": "", "content": "a"}),
        chunk({"content": "b"}),
    ]
    expected = ["+REASONING", "REASONING:r", "-REASONING", "+TEXT", "TEXT:a", "TEXT:b", "-TEXT"]
    assert told(*reads, chunk({}, "stop"), DONE) == expected


@pytest.mark.parametrize(
    "delta",
    [
        {"reasoning": "r"},
        {"reasoning_content": "r", "reasoning": "r"},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "r"}]}]},
    ],
)
def test_reasoning_is_read_wherever_a_vendor_puts_it_and_once(delta: dict[str, Any]) -> None:
    assert told(chunk(delta), DONE) == ["+REASONING", "REASONING:r", "-REASONING"]


def test_a_refusal_is_a_block_of_its_own() -> None:
    assert told(chunk({"refusal": "no"}), DONE) == ["+REFUSAL", "REFUSAL:no", "-REFUSAL"]


def test_a_call_goes_out_as_its_fragments_come() -> None:
    reads = [calls(fragment(0, "", "ls", "c1")), calls(fragment(0, '{"a"')), calls(fragment(0, ":1}"))]
    reader = ChatReader(PROFILES["local"], "7")
    live = [[type(piece) for piece in reader.feed(each)] for each in reads]
    assert live == [[Opened, Begun], [Grown], [Grown]]


def test_interleaved_calls_are_told_one_after_the_other() -> None:
    reads = [
        calls(fragment(0, "", "ls", "c1"), fragment(1, '{"b":', "cat", "c2")),
        calls(fragment(0, '{"a":1}')),
        calls(fragment(1, "2}")),
    ]
    expected = ["+ls", 'ls:{"a":1}', "-ls", "+cat", 'cat:{"b":', "cat:2}", "-cat"]
    assert told(*reads, chunk({}, "tool_calls"), DONE) == expected


@pytest.mark.parametrize(
    ("fragments", "expected"),
    [
        ([fragment(None, "{}", "ls", "c1"), fragment(None, "{}", "cat", "c2")], ["ls", "cat"]),
        ([fragment(None, "{}", "ls"), fragment(None, "{}", "cat")], ["ls", "cat"]),
        ([fragment(0, "{}", "ls", "c1"), fragment(0, "{}", "cat", "c2")], ["ls", "cat"]),
        ([fragment(0, "{", "ls", "c1"), fragment(0, "}", "ls", "c1")], ["ls"]),
        ([fragment(None, "{", "ls", "c1"), fragment(None, "}")], ["ls"]),
        ([fragment(0, "{}", "", "c1"), fragment(0, "", "ls")], ["ls"]),
    ],
)
def test_calls_are_told_apart_whatever_of_index_and_id_a_vendor_leaves_out(
    fragments: list[dict[str, Any]], expected: list[str]
) -> None:
    found = pieces(*map(calls, fragments), DONE)
    ended = [piece.block for piece in found if isinstance(piece, Ended)]
    assert [block.name for block in ended] == expected
    assert all(block.text == "{}" and block.id for block in ended)
    assert len({block.id for block in ended}) == len(ended)


def test_arguments_that_come_as_an_object_are_printed() -> None:
    found = pieces(calls({"index": 0, "id": "c", "function": {"name": "ls", "arguments": {"a": 1}}}), DONE)
    assert [piece.text for piece in found if isinstance(piece, Grown)] == ['{"a":1}']


@pytest.mark.parametrize(
    ("text", "expected"), [("", b"{}"), (" {\n} ", b"{}"), ('{"n": 1.0}', b'{"n":1.0}'), ("[]", None), ('{"a":', None)]
)
def test_arguments_are_one_object_on_one_line(text: str, expected: bytes | None) -> None:
    block = chat_answers.Block(choice=0, kind=chat_answers.Kind.CALL, parts=[text])
    assert (None if block.arguments is None else bytes(block.arguments)) == expected


@pytest.mark.parametrize(
    ("reason", "expected"),
    [("stop", "stop"), ("sensitive", "content_filter"), ("function_call", "tool_calls"), ("odd", "odd")],
)
def test_reasons_have_openais_names(reason: str, expected: str) -> None:
    assert pieces(chunk({"content": "a"}, reason), DONE)[-1].finishes[0].reason == expected


@pytest.mark.parametrize("reason", ["stop", "", None])
def test_calls_end_in_tool_calls_whatever_a_vendor_says(reason: str | None) -> None:
    reads = [calls(fragment(0, "{}", "ls", "c")), chunk({}, reason), DONE]
    assert pieces(*reads)[-1].finishes[0].reason == "tool_calls"


@pytest.mark.parametrize("member", ["stop_reason", "matched_stop"])
def test_the_stop_sequence_is_known_where_a_vendor_says_it(member: str) -> None:
    choice = {"index": 0, "delta": {}, "finish_reason": "stop", member: "END"}
    assert pieces(chunk({"content": "a"}), chunk(None, choices=[choice]), DONE)[-1].finishes[0].stop == "END"


def test_usage_is_read_from_a_choice_too() -> None:
    choice = {"index": 0, "delta": {}, "finish_reason": "stop", "usage": USAGE}
    assert pieces(chunk(None, choices=[choice]), DONE)[-1].usage.output_tokens == 7


def test_without_done_a_reason_and_usage_are_an_end_and_a_reason_alone_is_none() -> None:
    text, end = chunk({"content": "a"}), chunk({}, "stop")
    assert isinstance(pieces(text, end, chunk(None, usage=USAGE))[-1], Finished)
    assert not any(isinstance(piece, Finished) for piece in pieces(text, end))


def test_an_end_is_told_once() -> None:
    found = pieces(chunk({"content": "a"}, "stop"), chunk(None, usage=USAGE), DONE, DONE)
    assert [type(piece) for piece in found].count(Finished) == 1


@pytest.mark.parametrize(
    ("error", "kind"),
    [({"message": "x", "code": 503}, Overloaded), ({"message": "x", "code": "insufficient_quota"}, UpstreamFailed)],
)
def test_an_error_keeps_its_words_and_code(error: dict[str, Any], kind: type) -> None:
    with pytest.raises(kind) as failed:
        pieces(chunk({"content": "a"}), chunk(None, error=error))
    assert (failed.value.message, failed.value.code) == ("x", str(error["code"]))


def test_nothing_follows_an_error() -> None:
    reader = ChatReader(PROFILES["local"], "7")
    with pytest.raises(UpstreamFailed):
        list(reader.feed(chunk(None, error={"message": "x"})))
    assert [*reader.feed(chunk({"content": "b"}, "stop") + DONE), *reader.end()] == []


def test_an_answer_without_an_end_in_sight_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_answers, "ANSWER_BYTES_MAX", 500)
    with pytest.raises(UpstreamFailed, match="too large"):
        pieces(*[chunk({"content": "a" * 100})] * 5, DONE)
