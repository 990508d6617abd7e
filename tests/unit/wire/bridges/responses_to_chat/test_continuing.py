import json
from typing import Any

import pytest
from tests.support import bridging
from tests.support.bridging import ANSWER_ID, DONE, USAGE, chunk

from hypereal.kit.dialects import Dialect
from hypereal.wire import DIALECTS, Request, as_vendors, continued, conversation

RESPONSES = Dialect.OPENAI_RESPONSES
SAID = {"type": "message", "role": "user", "content": "again"}
HI = {"type": "message", "role": "user", "content": "hi"}
MESSAGE = {"content": "Hello.", "reasoning_content": "Greet.", "tool_calls": [bridging.call("c1", "ls", "{}", "c2ln")]}


def read(**members: Any) -> Request:
    return bridging.read(RESPONSES, members)


def joined(earlier: list[Any], **members: Any) -> Request:
    return continued(read(previous_response_id="resp_1", **members), json.dumps(earlier).encode())


@pytest.mark.parametrize(("own", "items"), [("again", [SAID]), ([SAID], [SAID])])
def test_earlier_items_stand_before_the_requests_own(own: Any, items: list[Any]) -> None:
    earlier = [HI, {"role": "assistant", "content": "Hello."}]
    sent = DIALECTS[RESPONSES].write(joined(earlier, input=own), "up", bridging.TAKES_ALL)
    assert json.loads(sent) == {"model": "up", "input": [*earlier, *items]}


def test_a_request_without_input_is_the_earlier_items() -> None:
    assert json.loads(bytes(joined([SAID]).fields["input"])) == [SAID]


def test_the_size_grows_by_what_was_joined() -> None:
    assert joined([SAID], input="again").size_bytes == joined([], input="again").size_bytes + len(json.dumps(SAID))


def test_earlier_items_keep_their_bytes() -> None:
    raw = b'{"type":"reasoning", "n":1.0,"big":123456789012345678901234567890}'
    request = continued(read(input="again", previous_response_id="resp_1"), b"[" + raw + b"]")
    assert raw in bytes(request.fields["input"])


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_conversation_is_what_was_asked_and_what_was_answered(is_stream: bool) -> None:
    body = {"input": "hi"}
    if is_stream:
        deltas = map(chunk, bridging.pieces({"content": "Hello."}, [2]))
        said = bridging.streamed(RESPONSES, body, *deltas, chunk({}, "stop"), chunk(None, usage=USAGE), DONE)
        said = said[said.index(b"event: response.content_part.done") :]
    else:
        said = json.dumps(bridging.replied(RESPONSES, body, bridging.answer({"content": "Hello."}))).encode()
    found = conversation(read(**body), said)
    assert found is not None
    answer_id, items = found
    asked, answered = json.loads(items)
    assert (answer_id, asked, answered["content"][0]["text"]) == (f"resp_{ANSWER_ID}", HI, "Hello.")


def test_a_continued_answer_names_the_one_before_it() -> None:
    request = joined([HI], input="again")
    answer = json.dumps(bridging.answer({"content": "Yes."})).encode()
    reply = json.loads(bridging.BRIDGES[RESPONSES, Dialect.OPENAI_CHAT].answer(answer, request, bridging.LOCAL, "2"))
    assert (reply["previous_response_id"], reply["store"]) == ("resp_1", True)


def test_turn_by_turn_the_upstream_gets_the_whole_conversation() -> None:
    said = json.dumps(bridging.replied(RESPONSES, {"input": "hi"}, bridging.answer(MESSAGE, "tool_calls"))).encode()
    found = conversation(read(input="hi"), said)
    assert found is not None
    output = [{"type": "function_call_output", "call_id": "c1", "output": "a.txt"}]
    whole = continued(read(input=output, previous_response_id=found[0]), found[1])
    sent = bridging.BRIDGES[RESPONSES, Dialect.OPENAI_CHAT].request(whole, bridging.TAKES_ALL)
    messages = json.loads(bytes(sent.fields["messages"]))
    assert messages == [
        {"role": "user", "content": "hi"},
        {"role": "assistant", **MESSAGE},
        {"role": "tool", "tool_call_id": "c1", "content": "a.txt"},
    ]


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"store": False}, b'{"id":"resp_1","status":"completed","output":[]}'),
        ({}, b'{"id":"resp_1","status":"failed","output":[]}'),
        ({}, b'{"id":"resp_1","status":"in_progress","output":[]}'),
        ({}, b"half an eve"),
        ({}, b""),
    ],
)
def test_what_is_not_whole_or_not_wanted_is_not_kept(members: dict[str, Any], said: bytes) -> None:
    assert conversation(read(input="hi", **members), said) is None


def test_only_this_dialect_has_conversations() -> None:
    request = bridging.read(Dialect.OPENAI_CHAT, {"messages": []})
    assert conversation(request, b'{"id":"resp_1","status":"completed","output":[]}') is None


def test_another_vendor_gets_no_reasoning_and_no_names_of_ours() -> None:
    reply = bridging.replied(RESPONSES, {"input": "hi"}, bridging.answer(MESSAGE, "tool_calls"))
    assert [item["type"] for item in reply["output"]] == ["reasoning", "message", "reasoning", "function_call"]
    theirs = [{"type": "reasoning", "id": "rs_68af", "encrypted_content": "gAAA"}, {"type": "message", "id": "msg_68"}]
    message, call, *rest = json.loads(as_vendors(json.dumps([*reply["output"], *theirs]).encode()))
    assert (message["content"][0]["text"], call["call_id"], rest) == ("Hello.", "c1", theirs)
    assert "id" not in message
    assert "id" not in call
