"""Which events reach whom, and what is sent of them."""

from datetime import UTC, datetime

import msgspec
import pytest

from hypereal.kit.errors import InvalidRequest
from hypereal.webhooks.events import BODY_BYTES_MAX, TEST, TYPES, Event, body_of, check_filters, matches

AT = datetime(2026, 11, 25, 12, 0, 0, 123456, tzinfo=UTC)


def event(data: object) -> Event:
    return Event(type="job.completed", data=msgspec.Raw(msgspec.json.encode(data)))


def test_an_event_is_sent_with_its_type_time_and_data():
    told = msgspec.json.decode(body_of(event({"jobId": "job_1", "n": 1.0}), AT))
    assert told == {
        "type": "job.completed",
        "timestamp": "2026-11-25T12:00:00.123Z",
        "data": {"jobId": "job_1", "n": 1.0},
    }


@pytest.mark.parametrize(
    "data", [{"jobId": "job_1", "outputs": ["x" * BODY_BYTES_MAX]}, ["x" * BODY_BYTES_MAX], "x" * BODY_BYTES_MAX]
)
def test_what_is_too_large_is_told_without_its_long_members(data: object):
    body = body_of(event(data), AT)
    assert len(body) < 10_000
    told = msgspec.json.decode(body)["data"]
    if isinstance(data, dict):
        assert told == {"jobId": "job_1", "omitted": ["outputs"]}
    else:
        assert told == {"omitted": ["*"]}


@pytest.mark.parametrize(
    ("filters", "hits"),
    [
        (["*"], TYPES),
        (["job.completed"], {"job.completed"}),
        (["job.*"], {"job.completed", "job.failed", "job.cancelled"}),
        (["gpu.job.*", "balance.low"], {"gpu.job.completed", "gpu.job.failed", "gpu.job.cancelled", "balance.low"}),
        (["key.*"], {"key.budget_80", "key.budget_100"}),
    ],
)
def test_filters_are_names_and_kinds(filters: list[str], hits: set[str]):
    assert {one for one in TYPES if matches(filters, one)} == hits
    assert matches(filters, TEST)
    assert check_filters(filters) == filters


@pytest.mark.parametrize("filters", [[], ["job"], ["job."], ["*.completed"], ["job.complete"], [""], ["**"], ["x.*"]])
def test_a_filter_that_no_event_can_match_is_refused(filters: list[str]):
    with pytest.raises(InvalidRequest) as refused:
        check_filters(filters)
    assert refused.value.param == "events"


def test_a_filter_that_comes_twice_is_kept_once():
    assert check_filters(["job.*", "balance.low", "job.*"]) == ["job.*", "balance.low"]
