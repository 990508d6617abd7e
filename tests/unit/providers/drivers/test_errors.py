"""What an error comes to: its kind, what is told of it, and when to come again."""

import json

import pytest

from hypereal.providers.drivers import Answer, Failed, FaultKind, Unclear
from hypereal.providers.drivers.errors import Errors, decode, fault, fault_of, is_error, refused

GENERAL = Errors()
SECRET_WORDS = "key sk-123 of account 42 has no money"


def answer(status: int, body: object = None, **headers: str) -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status=status, headers=named, body=raw, url="http://vendor")


def kind(status: int, body: object = None, errors: Errors = GENERAL) -> FaultKind:
    said = answer(status, body)
    return fault_of(errors, said, decode(said)).kind


@pytest.mark.parametrize(
    ("status", "wanted"),
    [
        (400, FaultKind.CALLER),
        (422, FaultKind.CALLER),
        (413, FaultKind.CALLER),
        (401, FaultKind.CREDENTIAL),
        (403, FaultKind.CREDENTIAL),
        (402, FaultKind.BALANCE),
        (404, FaultKind.LOST),
        (410, FaultKind.LOST),
        (408, FaultKind.VENDOR),
        (409, FaultKind.VENDOR),
        (429, FaultKind.RATE),
        (500, FaultKind.VENDOR),
        (529, FaultKind.VENDOR),
        (302, FaultKind.VENDOR),
    ],
)
def test_a_status_tells_the_kind_where_no_code_does(status: int, wanted: FaultKind) -> None:
    assert kind(status) is wanted


def test_codes_win_over_the_status_and_the_first_that_is_known_wins() -> None:
    errors = Errors(
        codes=("error.code", "error.type"), kinds={"quota": FaultKind.BALANCE, "*Sensitive*": FaultKind.MODERATED}
    )
    assert kind(429, {"error": {"code": "quota"}}, errors) is FaultKind.BALANCE
    assert kind(429, {"error": {"code": "unknown", "type": "quota"}}, errors) is FaultKind.BALANCE
    assert kind(400, {"error": {"code": "InputSensitiveWord"}}, errors) is FaultKind.MODERATED
    assert kind(429, {"error": {"code": None, "type": ["x"]}}, errors) is FaultKind.RATE


@pytest.mark.parametrize("told", [FaultKind.CREDENTIAL, FaultKind.BALANCE, FaultKind.VENDOR, FaultKind.RATE])
def test_what_a_vendor_says_of_us_is_for_the_log_alone(told: FaultKind) -> None:
    made = fault(told, SECRET_WORDS)
    assert SECRET_WORDS not in made.message
    assert made.detail == SECRET_WORDS


def test_what_a_vendor_says_of_the_request_is_told_bounded_and_printable() -> None:
    made = fault(FaultKind.CALLER, "size\x00\x1b[31m is\nwrong " + "x" * 10_000)
    assert "is wrong" in made.message
    assert made.message.isprintable()
    assert len(made.message) < 700


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": {"message": "one"}}, "one"),
        ({"error": "two"}, "two"),
        ({"message": "three"}, "three"),
        ({"detail": "four"}, "four"),
        ({"detail": [{"loc": ["body"], "msg": "five"}, {"msg": "six"}]}, "five; six"),
        ({"detail": ["seven"]}, "seven"),
        ([], ""),
        ({"error": {"message": 8}}, "8"),
        ("nine", ""),
    ],
)
def test_words_are_found_in_every_shape(body: object, words: str) -> None:
    said = answer(400, body)
    assert fault_of(GENERAL, said, decode(said)).detail == words


@pytest.mark.parametrize(
    ("headers", "body", "pause_s"),
    [
        ({"retry_after": "7"}, {}, 7.0),
        ({"retry_after": "0.5"}, {}, 0.5),
        ({"retry_after": "7", "retry_after_ms": "1500"}, {}, 1.5),
        ({"retry_after": "Thu, 01 Jan 2026 00:00:30 GMT", "date": "Thu, 01 Jan 2026 00:00:00 GMT"}, {}, 30.0),
        ({"retry_after": "Thu, 01 Jan 2026 00:00:00 GMT", "date": "Thu, 01 Jan 2026 00:00:30 GMT"}, {}, 0.0),
        ({"retry_after": "Thu, 01 Jan 2026 00:00:00 GMT"}, {}, None),
        ({"retry_after": "soon"}, {}, None),
        ({"retry_after": "-1"}, {}, None),
        ({"retry_after": "999999"}, {}, 86_400.0),
        ({}, {"message": "Your rate limit resets in ~30s."}, 30.0),
        ({}, {"message": "Please try again in 1.5s."}, 1.5),
        ({}, {"pause": "22s"}, 22.0),
        ({}, {}, None),
    ],
)
def test_a_pause_is_read_where_it_is_told(headers: dict[str, str], body: object, pause_s: float | None) -> None:
    said = answer(429, body, **headers)
    assert fault_of(Errors(retry_after="pause"), said, decode(said)).retry_after_s == pause_s


def test_an_answer_of_status_200_may_be_an_error() -> None:
    errors = Errors(within_ok="code", ok=frozenset({"0"}))
    assert not is_error(errors, answer(200), {"code": 0})
    assert not is_error(errors, answer(200), {})
    assert not is_error(errors, answer(200), None)
    assert is_error(errors, answer(200), {"code": 1301})
    assert is_error(errors, answer(302), {"code": 0})
    assert not is_error(GENERAL, answer(200), {"code": 1301})


@pytest.mark.parametrize(
    ("status", "body", "wanted"),
    [
        (400, {"error": "x"}, Failed),
        (400, b"<html>", Failed),
        (429, b"", Failed),
        (500, {"error": "x"}, Failed),
        (503, {"error": "x"}, Failed),
        (500, b"<html>", Unclear),
        (502, {"error": "x"}, Unclear),
        (504, {"error": "x"}, Unclear),
    ],
)
def test_only_the_vendors_own_word_says_that_nothing_was_begun(status: int, body: object, wanted: type) -> None:
    said = answer(status, body)
    assert isinstance(refused(GENERAL, said, decode(said)), wanted)


def test_a_model_that_is_not_there_is_no_fault_of_the_caller() -> None:
    said = answer(404, {"error": "no such model"})
    outcome = refused(GENERAL, said, decode(said))
    assert isinstance(outcome, Failed)
    assert outcome.fault.kind is FaultKind.VENDOR


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 200_000, b"<html>"])
def test_what_is_no_json_is_none(body: bytes) -> None:
    assert decode(answer(200, body)) is None
