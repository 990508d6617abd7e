import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypereal.wire.bridges.opaque import seal, unseal

values = st.dictionaries(
    st.text("abcdef", min_size=1), st.text(st.characters(exclude_categories=["Cs"]), min_size=1), max_size=3
)


@given(values)
def test_what_was_sealed_comes_back(said: dict[str, str]) -> None:
    assert unseal(seal(**said)) == said


def test_a_seal_is_never_empty_and_is_base64() -> None:
    assert base64.b64decode(seal(), validate=True)
    assert unseal(seal(text="")) == {}


@given(st.text() | st.none() | st.integers() | st.text().map(lambda text: seal()[:12] + text))
def test_what_we_did_not_make_is_none(said: object) -> None:
    assert unseal(said) is None or isinstance(said, str)


@pytest.mark.parametrize("said", ["EqQBCgIYAhIM+sig/abc==", "gAAAAAB+/=", seal(a="b")[:-4]])
def test_other_signatures_are_none(said: str) -> None:
    assert unseal(said) is None
