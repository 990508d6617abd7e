"""Where a request goes, and what it may carry there."""

import base64
import hashlib
import hmac
import json
from pathlib import Path

import pytest

from hypereal.providers import AccessKeys, Auth, load
from hypereal.providers.drivers import Request
from hypereal.providers.drivers.requests import Signed, is_trusted, path_of, post, segment, signed, token

BASE = "https://api.vendor.example/v1"
PROVIDER = load(
    {"acme": {"base_url": BASE, "driver": "openai", "api_keys": ["k-1", "k-2"], "headers": {"X-Org": "o-1"}}},
    {},
    Path("/run/local.sock"),
)["acme"]


def sent(request: Request, auth: Auth = Auth.BEARER, key_number: int = 0) -> Signed:
    return signed(PROVIDER, auth, (".vendor.example",), request, at_unix_s=0, key_number=key_number)


@pytest.mark.parametrize(
    ("auth", "header", "value"),
    [
        (Auth.BEARER, "authorization", "Bearer k-1"),
        (Auth.TOKEN, "authorization", "Token k-1"),
        (Auth.KEY, "authorization", "Key k-1"),
        (Auth.X_KEY, "x-key", "k-1"),
        (Auth.XI_API_KEY, "xi-api-key", "k-1"),
        (Auth.X_GOOG_API_KEY, "x-goog-api-key", "k-1"),
    ],
)
def test_a_key_travels_as_its_vendor_wants(auth: Auth, header: str, value: str) -> None:
    assert sent(post("/images", {}), auth).headers == {
        "x-org": "o-1",
        "content-type": "application/json",
        header: value,
    }


def test_keys_are_used_in_turn() -> None:
    keys = [sent(post("/x", {}), key_number=number).headers["authorization"] for number in range(3)]
    assert keys == ["Bearer k-1", "Bearer k-2", "Bearer k-1"]


def test_nothing_shows_a_credential() -> None:
    assert "k-1" not in repr(sent(post("/x", {})))
    assert "s-1" not in repr(AccessKeys(access_key="a-1", secret_key="s-1"))


@pytest.mark.parametrize(
    ("url", "is_ours"),
    [
        ("https://api.vendor.example/other", True),
        ("https://eu.vendor.example/x", True),
        ("https://eu.vendor.example:443/x", True),
        ("http://api.vendor.example/v1/x", False),
        ("http://eu.vendor.example/x", False),
        ("https://eu.vendor.example:8443/x", False),
        ("https://vendor.example/x", False),
        ("https://evilvendor.example/x", False),
        ("https://api.vendor.example@evil.example/x", False),
        ("https://key@api.vendor.example/x", False),
        ("https://api.vendor.example.evil.example/x", False),
        ("https://evil.example/#.vendor.example", False),
        ("https://[::1]/x", False),
        ("https://[::/x", False),
        ("/path", False),
    ],
)
def test_only_the_vendors_own_places_get_the_credential(url: str, is_ours: bool) -> None:
    assert is_trusted(url, BASE, (".vendor.example",)) == is_ours
    if url.startswith("http"):
        if is_ours:
            assert sent(Request(method="GET", url=url)).url == url
        else:
            with pytest.raises(ValueError, match="acme"):
                sent(Request(method="GET", url=url))


def test_ours_lie_over_what_a_caller_adds() -> None:
    request = post("/x", {"model": "m", "n": None}, extra={"model": "dearer", "n": 5, "style": "vivid"})
    assert json.loads(request.body) == {"model": "m", "n": 5, "style": "vivid"}


@pytest.mark.parametrize(
    ("text", "wanted"), [("a/b", "a%2Fb"), ("..", ""), (".", ""), ("a b?c#d", "a%20b%3Fc%23d"), ("é", "%C3%A9")]
)
def test_a_segment_leads_nowhere_else(text: str, wanted: str) -> None:
    assert segment(text) == wanted


def test_a_path_keeps_its_slashes_and_nothing_else() -> None:
    assert path_of("owner/../na me?x") == "owner//na%20me%3Fx"


def test_a_token_is_signed_says_who_calls_and_ends() -> None:
    made = token(AccessKeys(access_key="a-1", secret_key="s-1"), 1000.7)
    head, claims, mac = made.split(".")

    def read(part: str) -> bytes:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))

    assert json.loads(read(head)) == {"alg": "HS256", "typ": "JWT"}
    assert json.loads(read(claims)) == {"iss": "a-1", "exp": 2800, "nbf": 995}
    assert read(mac) == hmac.new(b"s-1", f"{head}.{claims}".encode(), hashlib.sha256).digest()
