"""URLs as callers write them, and as those write them who want to come to where they must not."""

import pytest

from hypereal.kit.errors import UnusableUrl
from hypereal.kit.outbound import Allowed, read_allowed
from hypereal.kit.outbound.urls import read_redirect, read_url

NOBODY = Allowed()

REFUSED = [
    "",
    "x",
    "example.com/a.png",
    "//example.com/a",
    "/a.png",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_INFO",
    "data:image/png;base64,AAAA",
    "javascript:alert(1)",
    "http:/example.com",
    "http:example.com",
    "http:///example.com",
    "http://",
    "http://?x",
    "http://#x",
    "http://:80/",
    "http://example.com:/",
    "http://example.com:0/",
    "http://example.com:22/",
    "http://example.com:25/",
    "http://example.com:6379/",
    "http://example.com:11211/",
    "http://example.com:65536/",
    "http://example.com:80x/",
    "http://example.com:+80/",
    "http://example.com: 80/",
    "http://user@example.com/",
    "http://user:password@example.com/",
    "http://example.com@127.0.0.1/",
    "http://127.0.0.1:80@example.com/",
    "http://example.com%2f@127.0.0.1/",
    "http://example.com\\@127.0.0.1/",
    "http://example.com\\.evil.example/",
    "http:\\\\example.com",
    "http://exa mple.com/",
    " http://example.com/",
    "http://example.com/ ",
    "http://example.com/a\r\nHost: x",
    "http://example.com/\x00",
    "http://example.com\t/",
    "http://exam\nple.com/",
    "http://example.com/\x7f",
    "http://example.com\x85/",
    "http://exámple.com/",
    "http://①②⑦.⓪.⓪.①/",
    "http://127。0。0。1/",
    "http://\u212aelvin.example/",
    "http://.example.com/",
    "http://example..com/",
    "http://-a.example/",
    "http://a-.example/",
    "http://%31%32%37.0.0.1/",
    "http://127.1/",
    "http://127.0.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.0.0.1/",
    "http://0177.0.0.1/",
    "http://017700000001/",
    "http://127.0.0.01/",
    "http://127.0.0.1.1/",
    "http://256.1.1.1/",
    "http://1.2.3.4.5/",
    "http://0/",
    "http://a.1/",
    "http://a.0x1/",
    "http://[::1/",
    "http://::1/",
    "http://[]/",
    "http://[::1%25lo]/",
    "http://[fe80::1%lo]/",
    "http://[v1.x]/",
    "http://[127.0.0.1]/",
    "http://[::1]x/",
    "https://" + "a" * 64 + ".example/",
    "https://example.com/" + "a" * 9000,
]


@pytest.mark.parametrize("url", REFUSED)
def test_what_can_be_read_in_two_ways_is_not_read(url: str):
    with pytest.raises(UnusableUrl):
        read_url(url, NOBODY)


@pytest.mark.parametrize(
    ("url", "host", "port", "path"),
    [
        ("http://example.com", "example.com", 80, "/"),
        ("HTTPS://Example.COM./A?b=c#d", "example.com", 443, "/A?b=c"),
        ("https://example.com?x", "example.com", 443, "/?x"),
        ("https://example.com:8443/@a:b", "example.com", 8443, "/@a:b"),
        ("https://a_b.example/x%20y/é?q=ü", "a_b.example", 443, "/x%20y/%C3%A9?q=%C3%BC"),
        ("http://1.1.1.1:3000/", "1.1.1.1", 3000, "/"),
        ("http://[2606:4700:0::1]/", "2606:4700::1", 80, "/"),
        ("http://xn--fiqs8s.example/", "xn--fiqs8s.example", 80, "/"),
        ("http://1password.example/", "1password.example", 80, "/"),
        ("https://b.example/?X-Amz-Credential=a%2Fb&x=1", "b.example", 443, "/?X-Amz-Credential=a%2Fb&x=1"),
    ],
)  # fmt: skip
def test_what_is_plain_is_read(url: str, host: str, port: int, path: str):
    target = read_url(url, NOBODY)
    assert (target.host, target.port, target.path) == (host, port, path)


def test_the_host_field_has_the_port_only_where_it_is_another():
    assert read_url("https://example.com:443/", NOBODY).authority == "example.com"
    assert read_url("http://example.com:443/", NOBODY).authority == "example.com:443"
    assert read_url("http://[2606:4700::1]:8080/", NOBODY).authority == "[2606:4700::1]:8080"


def test_an_allowed_host_may_have_any_port():
    allowed = read_allowed(["redis.internal", "127.0.0.1"])
    assert read_url("http://redis.internal:22/", allowed).port == 22
    assert read_url("http://127.0.0.1:1/", allowed).port == 1
    with pytest.raises(UnusableUrl):
        read_url("http://redis.example:22/", allowed)


def test_plain_http_is_refused_where_it_is_not_wanted():
    with pytest.raises(UnusableUrl, match="only https"):
        read_url("http://example.com/", NOBODY, https_only=True)


AT = read_url("https://example.com/a/b?c", NOBODY)


@pytest.mark.parametrize(
    ("location", "leads_to"),
    [
        ("/x", "https://example.com/x"),
        ("x?y", "https://example.com/a/x?y"),
        ("//other.example/x", "https://other.example/x"),
        ("https://other.example", "https://other.example/"),
        ("", "https://example.com/a/b?c"),
    ],
)
def test_a_redirect_is_read_from_where_it_stands(location: str, leads_to: str):
    assert str(read_redirect(AT, location, NOBODY, https_only=False)) == leads_to


@pytest.mark.parametrize(
    "location",
    ["http://127.1/", "http://a@b/", "file:///etc/passwd", "http://[::1", "\\\\127.0.0.1\\x", "gopher://x/", "http://x:22/"],
)  # fmt: skip
def test_a_redirect_is_read_as_strictly(location: str):
    with pytest.raises(UnusableUrl):
        read_redirect(AT, location, NOBODY, https_only=False)


def test_a_redirect_does_not_lead_away_from_https():
    with pytest.raises(UnusableUrl, match="only https"):
        read_redirect(AT, "http://example.com/", NOBODY, https_only=True)
