import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypereal.kit.ids import AccountId
from hypereal.kit.sealing import NONCE_BYTES, Sealer

SEALER = Sealer("0" * 32, b"tests")
OWNER = AccountId("acc_1")
names = st.text(min_size=1, max_size=12)


@given(content=st.binary(max_size=200), owner=names, answer=names, other_owner=names, other_answer=names)
def test_what_was_sealed_opens_for_its_owner_and_id_alone(
    content: bytes, owner: str, answer: str, other_owner: str, other_answer: str
) -> None:
    sealed = SEALER.seal(AccountId(owner), answer, content)
    assert SEALER.open(AccountId(owner), answer, sealed) == content
    if (other_owner, other_answer) != (owner, answer):
        assert SEALER.open(AccountId(other_owner), other_answer, sealed) is None


@pytest.mark.parametrize(("owner", "answer"), [("acc_1r", "esp_1"), ("acc_", "1resp_1"), ("resp_1", "acc_1")])
def test_owner_and_id_do_not_run_into_each_other(owner: str, answer: str) -> None:
    assert SEALER.open(AccountId(owner), answer, SEALER.seal(OWNER, "resp_1", b"hi")) is None


def test_another_secret_or_purpose_opens_nothing() -> None:
    assert Sealer("0" * 32, b"others").open(OWNER, "resp_1", SEALER.seal(OWNER, "resp_1", b"hi")) is None
    assert Sealer("1" * 32, b"tests").open(OWNER, "resp_1", SEALER.seal(OWNER, "resp_1", b"hi")) is None


@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_changed_bit_opens_nothing(at: int, bit: int) -> None:
    sealed = bytearray(SEALER.seal(OWNER, "resp_1", b"some words"))
    sealed[at % len(sealed)] ^= 1 << bit
    assert SEALER.open(OWNER, "resp_1", bytes(sealed)) is None


@pytest.mark.parametrize("length", [0, 5, NONCE_BYTES, NONCE_BYTES + 15])
def test_a_part_opens_nothing(length: int) -> None:
    assert SEALER.open(OWNER, "resp_1", SEALER.seal(OWNER, "resp_1", b"some words")[:length]) is None


def test_the_same_content_is_never_sealed_to_the_same_bytes_and_is_not_seen_in_them() -> None:
    one, two = (SEALER.seal(OWNER, "resp_1", b"some words") for _ in range(2))
    assert one != two
    assert b"words" not in one


def test_text_is_kept_in_less() -> None:
    assert len(SEALER.seal(OWNER, "resp_1", b"some words again, " * 1000)) < 1000
