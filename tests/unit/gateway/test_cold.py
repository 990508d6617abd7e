"""What the control process is told of who asks, and what it is sent."""

from types import SimpleNamespace
from typing import Any

import pytest

from hypereal.gateway import cold
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


def test_an_upload_that_moves_is_no_silence() -> None:
    """The control process says nothing until it has all of a body, which may take hours."""
    sent: list[bytes] = []
    upstream: Any = SimpleNamespace(
        is_closed=False, is_done=False, silent_s=500, transport=SimpleNamespace(write=sent.append)
    )
    call: Any = SimpleNamespace(head=SimpleNamespace(is_chunked=False))
    body = cold._Body(call, upstream)
    body.put(b"a piece")
    assert (upstream.silent_s, sent, body.is_sent) == (0, [b"a piece"], False)
    body.put(b"")
    assert body.is_sent
