"""Paths into JSON that may be anything."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypereal.providers.drivers import paths

SAID = {"a": {"b": [{"c": "one"}, {"c": ""}, {"d": 1}, {"c": "two"}]}, "n": 0, "t": True, "z": None, "s": "5.5"}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
PATHS = ["", "a", "a.b[].c", "data[0].url", "[]", "a[]", "a.b[1]", "a[5].b"]


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a.b[].c", ["one", "", "two"]),
        ("a.b[0].c", ["one"]),
        ("a.b[9].c", []),
        ("a.b.c", []),
        ("a[].b", []),
        ("z", []),
        ("n", [0]),
        ("missing", []),
    ],
)
def test_every_finds_all_that_is_at_a_path(path: str, found: list[object]) -> None:
    assert paths.every(SAID, path) == found


def test_an_empty_path_is_the_value_itself() -> None:
    assert paths.every("x", "") == ["x"]
    assert paths.text("x", "") == "x"


def test_the_first_path_that_leads_anywhere_is_taken() -> None:
    assert paths.first(SAID, "missing", "n", "s") == 0
    assert paths.text(SAID, "a", "missing", "s") == "5.5"


def test_numbers_are_told_from_truth_and_read_from_text() -> None:
    assert paths.number(SAID, "t", "s") == 5.5
    assert paths.number({"x": "1e9"}, "x") is None
    assert paths.text(SAID, "t") == ""
    assert paths.text(SAID, "n") == "0"


def test_what_is_found_is_bounded() -> None:
    assert len(paths.every({"a": list(range(1000))}, "a[]")) == paths.FOUND_MAX


@given(JSON, st.sampled_from(PATHS))
def test_nothing_that_a_vendor_sends_breaks_it(value: object, path: str) -> None:
    paths.every(value, path)
    paths.text(value, path)
    paths.number(value, path)
