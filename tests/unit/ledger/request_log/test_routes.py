"""What a query means, and what it may not say."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypereal.kit.errors import InvalidRequest
from hypereal.ledger.request_log.routes import Narrowed, match_of, name_of, place_of
from hypereal.ledger.request_log.store import Place


@given(st.integers(0, 10**17 - 1))
def test_a_place_comes_back_from_its_name(microseconds):
    started_at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    place = Place(started_at=started_at, request_id="req_0123456789abcdef00000001")
    assert place_of(name_of(place)) == place


@pytest.mark.parametrize("name", ["x", "1", "1.", ".req_1", "-1.req", "1.req\0", "9" * 18 + ".req", "1.a/b", "1.2.3 "])
def test_what_is_no_place_is_refused(name):
    with pytest.raises(InvalidRequest):
        place_of(name)


@pytest.mark.parametrize(
    ("status", "least", "most"),
    [("", None, None), ("429", 429, 429), ("4xx", 400, 499), ("ok", None, 399), ("error", 400, None)],
)
def test_statuses_are_a_number_a_class_or_a_word(status, least, most):
    match = match_of(Narrowed(status=status))
    assert (match.status_least, match.status_most) == (least, most)


@pytest.mark.parametrize("wrong", [{"status": "9xx"}, {"status": "42"}, {"status": "OK"}, {"tag": "x"}, {"tag": ":y"}])
def test_what_cannot_be_asked_is_named(wrong):
    with pytest.raises(InvalidRequest) as refused:
        match_of(Narrowed(**wrong))
    assert refused.value.param == next(iter(wrong))


def test_a_text_is_a_request_id_where_it_looks_like_one():
    assert match_of(Narrowed(q="req_0123456789abcdef00000001")).request_id == "req_0123456789abcdef00000001"
    assert match_of(Narrowed(q="req_")).text == "req_"
    assert match_of(Narrowed(tag="team:a:b")).tags == '{"team":"a:b"}'
    assert match_of(Narrowed(endpoint="/v1/messages")).endpoint == "messages"


def test_days_end_with_today_and_begin_at_midnight():
    match = match_of(Narrowed(days=1))
    assert match.since.time() == datetime.min.time()
    assert (match.until - match.since).days == 1
