import pytest

from hypereal.accounts.addresses import is_within, network


@pytest.mark.parametrize(
    ("address", "ranges", "expected"),
    [
        ("10.1.2.3", ["10.0.0.0/8"], True),
        ("11.1.2.3", ["10.0.0.0/8"], False),
        ("10.1.2.3", ["10.1.2.3"], True),
        ("10.1.2.4", ["10.1.2.3"], False),
        ("10.1.2.4", ["192.168.0.0/16", "10.1.2.0/24"], True),
        ("::ffff:10.1.2.3", ["10.0.0.0/8"], True),
        ("2001:db8::1", ["2001:db8::/32"], True),
        ("2001:db9::1", ["2001:db8::/32", "0.0.0.0/0"], False),
        ("unknown", ["0.0.0.0/0", "::/0"], False),
        ("", ["0.0.0.0/0"], False),
        ("10.1.2.3, 8.8.8.8", ["10.0.0.0/8"], False),
    ],
)
def test_an_address_is_within_a_range_or_not(address: str, ranges: list[str], expected: bool) -> None:
    assert is_within(address, [network(one) for one in ranges]) is expected


@pytest.mark.parametrize(("given", "kept"), [("10.1.2.3", "10.1.2.3/32"), ("10.1.2.3/8", "10.0.0.0/8")])
def test_a_range_is_kept_in_one_form(given: str, kept: str) -> None:
    assert str(network(given)) == kept


@pytest.mark.parametrize("text", ["", "ten", "10.0.0.0/33", "10.0.0", "10.0.0.0/8\n"])
def test_what_is_no_range_is_none(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (it is ipaddress's)
        network(text)
