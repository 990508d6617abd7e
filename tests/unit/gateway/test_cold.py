"""What the control process is told of who asks."""

import pytest

from hypereal.gateway.cold import client_address

PROXY = frozenset({"10.0.0.1"})


@pytest.mark.parametrize(
    ("peer", "forwarded", "told"),
    [
        ("1.2.3.4", b"", b"1.2.3.4"),
        ("10.0.0.1", b"", b"10.0.0.1"),
        ("10.0.0.1", b"9.9.9.9, 1.2.3.4", b"1.2.3.4"),
        ("127.0.0.1", b"127.0.0.1", b"unknown"),
        ("1.2.3.4", b"127.0.0.1", b"unknown"),
        ("", b"", b"unknown"),
    ],
)
def test_client_is_whom_a_trusted_proxy_names_and_never_whom_it_claims_to_be(peer, forwarded, told):
    assert client_address(peer, forwarded, PROXY) == told
