"""Which of a caller's betas a cloud is told. Whole bodies and heads are golden dialogues."""

import json

from hypothesis import given
from hypothesis import strategies as st

from hypereal.kit.dialects import Dialect
from hypereal.wire import DIALECTS, ENVELOPES
from hypereal.wire.envelopes.envelope import known_betas

FORWARDED = b"anthropic-beta: a-1, b-2,,c-3\r\nsession-id: anthropic-beta: x\r\nanthropic-beta: a-1,d-4\r\n"


def test_betas_are_told_once_by_the_clouds_own_names() -> None:
    assert known_betas(FORWARDED, {"a-1": "a-1", "c-3": "c-9", "d-4": "c-9"}) == ["a-1", "c-9"]


def test_where_no_betas_are_listed_all_are_told() -> None:
    assert known_betas(FORWARDED, None) == ["a-1", "b-2", "c-3", "d-4"]
    assert known_betas(b"", None) == []


members = st.dictionaries(
    st.text(max_size=9).filter(lambda name: name not in {"model", "messages", "stream", "max_tokens"}),
    st.sampled_from(["1.0", "1E5", '"\\u00e9"', "[1,2.50]", '{"a":{},"a":1}', "null"]),
    max_size=6,
)
OURS = {"model", "stream", "hypereal", "intent", "anthropic_version", "anthropic_beta", "thinking"}


@given(members)
def test_every_other_member_goes_byte_for_byte_and_in_its_order(extra: dict[str, str]) -> None:
    messages = DIALECTS[Dialect.ANTHROPIC_MESSAGES]
    quoted = [(json.dumps(name), value) for name, value in extra.items() if name not in OURS]
    more = "".join(f"{name}:{value}," for name, value in quoted)
    request = messages.read(b'{"model":"m","messages":[],"stream":true,%s"max_tokens":1}' % more.encode())
    kept = [name for name in request.fields if name not in ("model", "stream")]
    for envelope in ENVELOPES.values():
        fields, _ = envelope.seal(request, "m", b"", None, counts_tokens=False)
        assert [name for name in fields if name in kept] == kept
        assert all(bytes(fields[name]) == bytes(request.fields[name]) for name in kept)
        assert "model" not in fields
    assert "model" in request.fields  # the next target gets the request as it came
