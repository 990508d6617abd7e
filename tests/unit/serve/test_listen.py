"""How an address is shown."""

import pytest

from hypereal.serve import listen


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8787"),
        ("0.0.0.0", "http://127.0.0.1:8787"),
        ("::", "http://[::1]:8787"),
        ("fd00::1", "http://[fd00::1]:8787"),
        ("localhost", "http://localhost:8787"),
    ],
)
def test_the_shown_address_works_from_this_machine(host: str, url: str) -> None:
    assert listen.url_of(host, 8787) == url
