"""What every wire format must hold to, tried on every one that there is."""

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypereal.kit import errors as kit_errors
from hypereal.kit.dialects import Dialect
from hypereal.kit.errors import HyperealError, InvalidRequest, UpstreamFailed
from hypereal.wire import BRIDGES, DIALECTS, PROFILES, FinishMerger, WireDialect, read_by_shape

GOLDEN = Path(__file__).parents[2] / "golden"
PLAIN = PROFILES["openai"]
REQUEST_ID = "req_0123456789abcdef00000001"
CONVERSATIONS: dict[Dialect, tuple[str, object]] = {
    Dialect.OPENAI_CHAT: ("messages", [{"role": "user", "content": "hi"}]),
    Dialect.OPENAI_RESPONSES: ("input", "hi"),
    Dialect.ANTHROPIC_MESSAGES: ("messages", [{"role": "user", "content": "hi"}]),
    Dialect.GEMINI: ("contents", [{"parts": [{"text": "hi"}]}]),
}
RAISED = [
    InvalidRequest("bad", param="x"),
    kit_errors.UnknownModel("m\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"), ["b", "a"]),
    kit_errors.AuthenticationFailed("no"),
    kit_errors.InsufficientCredits("poor"),
    kit_errors.SpendingLimitReached("spent"),
    kit_errors.NotFound("where"),
    kit_errors.RateLimited("slow", 7),
    kit_errors.InternalError("oops"),
    UpstreamFailed('said "no"\n'),
    kit_errors.Overloaded("full"),
    kit_errors.UpstreamTimeout("late"),
]

every_dialect = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)


def recorded(name: str) -> list[tuple[WireDialect, bytes]]:
    """The upstream files of that name whose upstream speaks the case's own dialect."""
    found = []
    for path in sorted(GOLDEN.glob(f"*/*/{name}")):
        if not path.parent.name.startswith("bridge"):
            found.append((DIALECTS[Dialect(path.parts[-3])], path.read_bytes()))
    return found


STREAMS = [(dialect, stream) for dialect, stream in recorded("upstream.sse") if dialect.error_in(stream) is None]
WHOLE_STREAMS = [(dialect, stream) for dialect, stream in STREAMS if dialect.is_complete(stream)]
ANSWERS = [(dialect, body) for dialect, body in recorded("upstream.json") if dialect.error_in(body) is None]


def body_of(dialect: WireDialect, **members: object) -> bytes:
    name, conversation = CONVERSATIONS[dialect.name]
    return json.dumps({"model": "m", name: conversation, **members}).encode()


def facts_of(dialect: WireDialect, stream: bytes) -> object:
    return dialect.usage_of_stream(stream, stream, PLAIN), dialect.is_complete(stream)


def test_every_dialect_is_served() -> None:
    assert set(DIALECTS) == set(Dialect)
    assert all(name is dialect.name for name, dialect in DIALECTS.items())


json_text = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
).map(json.dumps)
known = [
    "model",
    "messages",
    "input",
    "contents",
    "stream",
    "max_tokens",
    "n",
    "thinking",
    "generationConfig",
    "system",
]
known += ["stream_options", "hypereal", "intent", "max_output_tokens", "generateContentRequest"]
objects = st.lists(st.tuples(st.sampled_from(known) | st.text(), json_text), max_size=8).map(
    lambda pairs: ("{" + ",".join(f"{json.dumps(name)}:{value}" for name, value in pairs) + "}").encode()
)


@every_dialect
@settings(deadline=None, max_examples=80)
@given(body=st.binary(max_size=300) | objects)
def test_reading_any_bytes_works_or_is_an_invalid_request(dialect: WireDialect, body: bytes) -> None:
    for read in (dialect.read, read_by_shape):
        try:
            request = read(bytearray(body))
        except InvalidRequest as refused:
            dialect.error_body(refused, REQUEST_ID)
            continue
        served = DIALECTS[request.dialect]
        json.loads(served.write(request, "upstream", PLAIN))
        assert served.input_tokens_max(request) > 0
        assert served.estimate_input(request) > 0


@every_dialect
@pytest.mark.parametrize("depth", [500, 900, 950, 980, 995, 1100, 5_000, 100_000])
@pytest.mark.parametrize(
    "name", ["x", "stream_options", "thinking", "generationConfig", "messages", "contents", "model"]
)
def test_deep_nesting_is_refused_or_read_wherever_it_stands(dialect: WireDialect, depth: int, name: str) -> None:
    deep = b'{"x":' * depth + b"1" + b"}" * depth
    body = body_of(dialect, stream=True, max_tokens=1)[:-1] + b',"' + name.encode() + b'":' + deep + b"}"
    try:
        request = dialect.read(body)
    except InvalidRequest:
        return
    assert dialect.write(request, "upstream", PLAIN)
    assert dialect.input_tokens_max(msgspec.structs.replace(request, size_bytes=10**6)) > 0


@every_dialect
@settings(deadline=None, max_examples=80)
@given(value=json_text, space=st.sampled_from(["", " ", "\n  "]), name=st.text(min_size=1))
def test_unknown_members_survive_byte_for_byte(dialect: WireDialect, value: str, space: str, name: str) -> None:
    name = "x_" + name
    raw = f"[{space}{value}{space},1.0,-0,1e400,12345678901234567890123]"
    body = body_of(dialect)[:-1] + f",{json.dumps(name)}:{space}{raw}{space}}}".encode()
    sent = dialect.write(dialect.read(body), "upstream", PLAIN)
    assert bytes(msgspec.json.decode(sent, type=dict[str, msgspec.Raw])[name]) == raw.encode()


@every_dialect
def test_order_of_members_stays(dialect: WireDialect) -> None:
    body = body_of(dialect, z=1, a=2, hypereal={"cache": False}, m=3, intent="code")
    names = list(json.loads(dialect.write(dialect.read(body), "upstream", PLAIN)))
    assert [name for name in names if name in "zam"] == ["z", "a", "m"]
    assert not {"hypereal", "intent"} & set(names)


@every_dialect
def test_writing_twice_gives_the_same_and_leaves_the_request_alone(dialect: WireDialect) -> None:
    request = dialect.read(body_of(dialect, stream=True))
    before = dict(request.fields)
    assert dialect.write(request, "first", PLAIN) != b""
    assert dialect.write(request, "up", PROFILES["mistral"]) == dialect.write(request, "up", PROFILES["mistral"])
    assert request.fields == before


@every_dialect
def test_what_cannot_be_served_names_its_member(dialect: WireDialect) -> None:
    for wrong in ({"model": 5}, {"stream": "yes"}, {"hypereal": "on"}, {"intent": 1}):
        with pytest.raises(InvalidRequest) as refused:
            dialect.read(body_of(dialect, **wrong))
        assert refused.value.param == next(iter(wrong))
    with pytest.raises(InvalidRequest):
        dialect.read(b"{}")


@every_dialect
@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
def test_errors_hold_type_and_message_before_and_in_a_stream(dialect: WireDialect, error: HyperealError) -> None:
    shown = json.loads(dialect.error_body(error, REQUEST_ID))
    assert shown["error"]["message"] == error.message
    assert shown["error"]["type"] == error.type
    assert ("available_models" in shown["error"]) == isinstance(error, kit_errors.UnknownModel)
    if dialect.name is Dialect.GEMINI:
        assert shown["error"]["code"] == error.status
        assert shown["error"]["status"].isupper()
    else:
        assert (shown["type"], shown["request_id"]) == ("error", REQUEST_ID)
        assert {"code", "param"} <= shown["error"].keys()
    event = dialect.error_event(error, REQUEST_ID, model="m")
    assert event.endswith(b"\n\n")
    assert event.count(b"\n\n") == 1
    read_back = dialect.error_in(event)
    assert read_back is not None
    assert read_back.message.startswith(" ".join(error.message.split()))


@every_dialect
@pytest.mark.parametrize("tail", [b"", b'event: x\ndata: {"type":"x","sequence_number":7}\n\n'])
def test_a_heartbeat_is_one_event_that_says_nothing(dialect: WireDialect, tail: bytes) -> None:
    beat = dialect.heartbeat(tail)
    assert beat.endswith(b"\n\n")
    assert beat.count(b"\n\n") == 1
    assert facts_of(dialect, beat) == (None, False)
    assert dialect.error_in(beat) is None
    assert dialect.output_text_bytes(beat)[1] == 0


@pytest.mark.parametrize(("dialect", "stream"), STREAMS)
@settings(deadline=None, max_examples=20)
@given(data=st.data())
def test_usage_is_the_same_under_every_dressing_of_the_events(
    dialect: WireDialect, stream: bytes, data: st.DataObject
) -> None:
    plain = stream.replace(b"\r\n", b"\n").strip(b"\n") + b"\n\n"
    dressed = []
    for event in plain.strip(b"\n").split(b"\n\n"):
        comment = b": note\n" if data.draw(st.booleans()) else b""
        close = event.replace(b"data: ", b"data:") if data.draw(st.booleans()) else event
        dressed.append(comment + close + b"\n" * data.draw(st.integers(2, 4)))
    again = b"".join(dressed)
    if data.draw(st.booleans()):
        again = again.replace(b"\n", b"\r\n")
    assert facts_of(dialect, again) == facts_of(dialect, plain)
    assert facts_of(dialect, again + dialect.heartbeat()) == facts_of(dialect, plain)


@pytest.mark.parametrize(("dialect", "stream"), WHOLE_STREAMS)
def test_usage_stands_in_the_first_and_the_last_events_alone(dialect: WireDialect, stream: bytes) -> None:
    plain = stream.replace(b"\r\n", b"\n").strip(b"\n") + b"\n\n"
    events = [event + b"\n\n" for event in plain.split(b"\n\n") if event]
    whole = dialect.usage_of_stream(plain, plain, PLAIN)
    assert dialect.usage_of_stream(events[0], b"".join(events[-4:]), PLAIN) == whole


@pytest.mark.parametrize(("dialect", "stream"), WHOLE_STREAMS)
def test_a_stream_without_its_last_two_events_is_cut(dialect: WireDialect, stream: bytes) -> None:
    plain = stream.replace(b"\r\n", b"\n").strip(b"\n")
    assert dialect.is_complete(b"\n\n".join(plain.split(b"\n\n")[:-2]) + b"\n\n") is False


@pytest.mark.parametrize(("dialect", "stream"), WHOLE_STREAMS)
def test_folding_keeps_usage_and_comes_back_the_same(dialect: WireDialect, stream: bytes) -> None:
    folded = dialect.fold(stream)
    again = dialect.unfold(folded)
    assert json.loads(dialect.fold(again)) == json.loads(folded)
    assert dialect.usage_of_answer(folded, PLAIN) == dialect.usage_of_stream(again, again, PLAIN)
    assert dialect.is_complete(again)
    assert dialect.estimate_output(folded) >= 1


@pytest.mark.parametrize(("dialect", "body"), ANSWERS)
def test_an_unfolded_answer_says_the_same_usage_and_text(dialect: WireDialect, body: bytes) -> None:
    stream = dialect.unfold(body)
    assert dialect.usage_of_stream(stream, stream, PLAIN) == dialect.usage_of_answer(body, PLAIN)
    assert dialect.is_complete(stream)
    assert dialect.estimate_output(body) >= dialect.output_text_bytes(stream)[1] // 4


EVENT_NAMES = [
    "message_start",
    "content_block_start",
    "content_block_delta",
    "message_delta",
    "text_delta",
    "thinking_delta",
]
EVENT_NAMES += [
    "input_json_delta",
    "citations_delta",
    "text",
    "tool_use",
    "message",
    "output_text",
    "function_call",
    "refusal",
]
EVENT_NAMES += ["response.completed", "response.output_item.done", "response.failed", "error"]
MEMBERS = [
    "type",
    "index",
    "delta",
    "message",
    "usage",
    "content",
    "content_block",
    "text",
    "partial_json",
    "citations",
    "input",
]
MEMBERS += [
    "choices",
    "finish_reason",
    "tool_calls",
    "function",
    "arguments",
    "role",
    "output",
    "item",
    "output_index",
    "response",
]
MEMBERS += [
    "candidates",
    "parts",
    "finishReason",
    "usageMetadata",
    "promptFeedback",
    "error",
    "code",
    "id",
    "model",
    "status",
]
MEMBERS += ["sequence_number", "thinking", "citation", "thought", "refusal", "base_resp"]
values = st.none() | st.integers(-1, 3) | st.sampled_from(EVENT_NAMES) | st.just("x") | st.booleans()
odd = st.recursive(
    values,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=4),
    max_leaves=12,
)
likely_events = st.lists(st.dictionaries(st.sampled_from(MEMBERS), odd, max_size=5), min_size=1, max_size=4)


@every_dialect
@settings(deadline=None, max_examples=120)
@given(said=likely_events)
def test_events_of_wrong_shapes_do_no_harm(dialect: WireDialect, said: list[dict[str, object]]) -> None:
    stream = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in said)
    facts_of(dialect, stream)
    dialect.output_text_bytes(stream)
    bridge = BRIDGES.get((dialect.name, Dialect.OPENAI_CHAT))
    merger = FinishMerger()
    merger.feed(stream), merger.end()
    body = json.dumps(said[0]).encode()
    dialect.usage_of_answer(body, PLAIN)
    uses = [lambda: dialect.fold(stream), lambda: dialect.unfold(body)]
    if bridge is not None:
        request = dialect.read(body_of(dialect))
        through = bridge.stream(request, PLAIN, "7")
        through.feed(stream), through.end()
        uses.append(lambda: bridge.answer(body, request, PLAIN, "7"))
    for use in uses:
        try:
            use()
        except UpstreamFailed:
            pass


@every_dialect
@settings(deadline=None, max_examples=80)
@given(said=st.binary(max_size=200) | objects | objects.map(lambda body: b"data: " + body + b"\n\n"))
def test_no_bytes_of_an_upstream_do_harm(dialect: WireDialect, said: bytes) -> None:
    dialect.usage_of_answer(said, PLAIN)
    dialect.error_in(said)
    dialect.estimate_output(said)
    dialect.output_text_bytes(said)
    dialect.heartbeat(said)
    facts_of(dialect, said)
    for fold in (dialect.fold, dialect.unfold):
        try:
            fold(said)
        except UpstreamFailed:
            pass
