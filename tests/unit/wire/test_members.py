import msgspec
import pytest

from hypereal.kit.errors import InvalidRequest
from hypereal.wire import members


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "not valid JSON"),
        (b"[1]", "one JSON object"),
        (b"null", "one JSON object"),
        (b'{"a":1} x', "trailing"),
        (b'{"a":01}', "not valid JSON"),
        (b'{"a":"\xff"}', "UTF-8 (at byte 6)"),
        (b'{"\xff":1}', "UTF-8"),
        (b"\xef\xbb\xbf{}", "not valid JSON"),
        (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b'{"\\ud800":1}', "not valid JSON"),
    ],
)
def test_what_is_not_one_json_object_is_refused_with_the_reason(body: bytes, said: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        members.parse(body)
    assert said in refused.value.message


def test_of_doubled_members_the_last_counts() -> None:
    assert members.whole(members.parse(b'{"n":1,"n":2}'), "n") == 2


@pytest.mark.parametrize("make", [bytes, bytearray])
def test_values_keep_their_bytes(make: type[bytes] | type[bytearray]) -> None:
    fields = members.parse(make(b'{ "a" : [ 1.0 ,1e400 ], "b":"\\u00e9", "c":12345678901234567890123 }'))
    assert members.encode(fields) == b'{"a":[ 1.0 ,1e400 ],"b":"\\u00e9","c":12345678901234567890123}'


@pytest.mark.parametrize(("raw", "value"), [(b"true", True), (b"false", False), (b"null", False)])
def test_flag_reads_booleans_and_null_as_absent(raw: bytes, value: bool) -> None:
    assert members.flag({"stream": msgspec.Raw(raw)}, "stream") is value


@pytest.mark.parametrize("raw", [b'"true"', b"1", b"[]", b"{}"])
def test_flag_refuses_other_types_and_names_the_member(raw: bytes) -> None:
    with pytest.raises(InvalidRequest) as refused:
        members.flag({"stream": msgspec.Raw(raw)}, "stream")
    assert refused.value.param == "stream"


@pytest.mark.parametrize("raw", [b"0", b"-1", b"1.5", b'"5"', b"true", b"1e3", b"[]"])
def test_whole_refuses_what_is_no_whole_number_of_1_or_more(raw: bytes) -> None:
    with pytest.raises(InvalidRequest):
        members.whole({"max_tokens": msgspec.Raw(raw)}, "max_tokens")


@pytest.mark.parametrize("raw", [b"1", b"[]", b"true", b'""', b"null", b'"\\ud800"'])
def test_a_model_is_named_by_a_text_that_is_not_empty(raw: bytes) -> None:
    with pytest.raises(InvalidRequest) as refused:
        members.model({"model": msgspec.Raw(raw)}, members.NO_OWN)
    assert refused.value.param == "model"


def test_a_model_must_be_named_unless_an_intent_is() -> None:
    own = members.Own(intent="fast")
    assert members.model({"model": msgspec.Raw(b'"gpt-5"')}, own) == "gpt-5"
    for fields in ({}, {"model": members.NULL}):
        with pytest.raises(InvalidRequest):
            members.model(fields, members.NO_OWN)
        assert members.model(fields, own) == ""
        assert "model" not in fields


@pytest.mark.parametrize("name", ["gpt-5", 'a"b\\c', "ü\u2028\n", ""])
def test_a_name_is_written_as_json(name: str) -> None:
    assert msgspec.json.decode(members.written(name)) == name


@pytest.mark.parametrize(
    ("raw", "kind"), [(b"[]", members.LIST), (b'[{"a":1}]', members.LIST), (b"{}", members.OBJECT), (b"1", (b"1",))]
)
def test_the_kind_of_a_value_is_its_first_byte(raw: bytes, kind: tuple[bytes]) -> None:
    assert members.kind(members.parse(b'{"a": %s}' % raw)["a"]) == kind


@pytest.mark.parametrize("body", [b'{"hypereal":1}', b'{"hypereal":[]}', b'{"intent":{}}', b'{"intent":3}'])
def test_own_members_of_a_wrong_type_are_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        members.take_own(members.parse(body))


@pytest.mark.parametrize("wish", ["{}", '{"cache":"auto"}', '{"cache":null}', '{"cache":true}', "null"])
def test_the_cache_is_on_unless_it_is_turned_off(wish: str) -> None:
    assert members.take_own({"hypereal": msgspec.Raw(wish.encode())}).caches
    assert members.take_own({}).caches
    assert not members.take_own({"hypereal": msgspec.Raw(b'{"cache":false}')}).caches


@pytest.mark.parametrize("wish", ['{"cache":"on"}', '{"cache":0}', '{"cache":1}', '{"cache":[]}', '{"cache":1e400}'])
def test_another_wish_is_refused_by_name(wish: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        members.take_own({"hypereal": msgspec.Raw(wish.encode())})
    assert str(refused.value.param).startswith("hypereal")


def test_an_intent_stands_in_for_a_model_and_a_model_wins_over_it() -> None:
    both = b'{"model":"m","intent":"code"}'
    for body, model in ((b'{"intent":"code"}', ""), (b'{"intent":"code","model":null}', ""), (both, "m")):
        fields = members.parse(body)
        own = members.take_own(fields)
        assert own.intent == "code"
        assert members.model(fields, own) == model
    with pytest.raises(InvalidRequest):
        members.model({}, members.take_own({"intent": msgspec.Raw(b'""')}))


def test_own_members_never_stay() -> None:
    fields = members.parse(b'{"a":1,"hypereal":{"cache":"auto"},"intent":null}')
    members.take_own(fields)
    assert list(fields) == ["a"]


def test_a_number_that_python_cannot_hold_is_refused_where_it_must_be_decoded() -> None:
    with pytest.raises(InvalidRequest):
        members.decoded(msgspec.Raw(b"[1e400]"), "contents")
