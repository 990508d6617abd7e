from typing import Any

import msgspec
import pytest

from hypereal.kit.asked import page_of, read_body
from hypereal.kit.errors import InvalidRequest


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    size: int = 0


class Wanted(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    name: str
    spending_limit: int | None = None
    inner: Inner | None = None


def test_a_body_is_read_as_what_it_is() -> None:
    assert read_body(b'{"name": "a", "spendingLimit": 3}', Wanted) == Wanted(name="a", spending_limit=3)


@pytest.mark.parametrize(
    ("raw", "param"),
    [
        (b'{"name": 1}', "name"),
        (b'{"name": "a", "spendingLimit": "x"}', "spendingLimit"),
        (b'{"name": "a", "ownerId": "acc_1"}', "ownerId"),
        (b'{"name": "a", "inner": {"size": true}}', "inner.size"),
        (b"{}", "name"),
        (b"", "name"),
        (b"[]", None),
        (b"{", None),
        (b"\xff", None),
        (b'{"name": "\\ud800"}', None),
        (b'{"name": "a\\u0000"}', None),
        (b"[" * 100_000, None),
    ],
)
def test_a_wrong_body_is_refused_by_the_name_of_its_field(raw: bytes, param: str | None) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_body(raw, Wanted)
    assert refused.value.param == param
    assert param is None or param.split(".")[-1] in refused.value.message


@pytest.mark.parametrize(("found", "data", "following"), [("abc", "ab", "b"), ("ab", "ab", None), ("", "", None)])
def test_a_page_says_whether_there_is_more(found: str, data: str, following: Any) -> None:
    page = page_of(found, 2, str)
    assert (page.data, page.has_more, page.next) == (data, following is not None, following)
