"""The class of each failure, and how long an upstream asks to be left alone."""

from datetime import timedelta
from email.utils import format_datetime

import pytest

from hypereal.gateway.faults import ABSENT, BROKEN, CALLERS_FAULT, FAULTS, KEY, LIMITED, ODD, fault_of, retry_after_s
from hypereal.kit.clock import utc_now
from hypereal.net.http1 import parse_answer


@pytest.mark.parametrize(
    ("status", "fault"),
    [(200, BROKEN), (302, ODD), (401, KEY), (402, KEY), (403, KEY), (404, ABSENT), (418, ODD), (429, LIMITED)]
    + [(status, BROKEN) for status in (408, 409, 500, 502, 503, 504, 529, 599)],
)
def test_every_status_has_its_class(status, fault):
    assert fault_of(status) is fault


def test_no_class_holds_what_is_the_callers_fault():
    assert {fault_of(status).name for status in CALLERS_FAULT} == {"odd"}
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)


def asked(*fields: bytes, body: bytes = b"") -> float | None:
    return retry_after_s(parse_answer(b"HTTP/1.1 429 x\r\n" + b"".join(f + b"\r\n" for f in fields)), body)


def test_seconds_milliseconds_and_dates_are_read():
    assert asked(b"Retry-After: 7") == 7
    assert asked(b"retry-after: 0.5") == 0.5
    assert asked(b"retry-after: 7", b"Retry-After-Ms: 250") == 0.25
    date = format_datetime(utc_now() + timedelta(seconds=90), usegmt=True).encode()
    assert 85 < (asked(b"retry-after: " + date) or 0) <= 91
    past = format_datetime(utc_now() - timedelta(seconds=90), usegmt=True).encode()
    assert asked(b"retry-after: " + past) == 0


def test_googles_delay_is_read_out_of_its_body():
    body = b'{"error":{"details":[{"@type":"x.RetryInfo","retryDelay": "12.5s"}]}}'
    assert asked(body=body) == 12.5


@pytest.mark.parametrize("value", [b"", b"soon", b"-1", b"1e9", b"\xff", b"Wed, 99 Foo 2026 00:00:00 GMT"])
def test_what_cannot_be_read_says_nothing(value):
    assert asked(b"retry-after: " + value) is None


def test_what_is_asked_for_is_bounded():
    assert asked(b"retry-after: 9999999") == 3600
