import pytest

from hypereal.net import Malformed
from hypereal.net.heads import HEADS_MAX, parse_cached

HEAD = b"POST /%s HTTP/1.1\r\nHost: a\r\nContent-Length: %s\r\nX: y\r\n"


def parse(head: bytes):
    return parse_cached(head + b"\r\n", len(head) - 2)


def test_head_that_differs_in_the_digits_of_its_length_is_parsed_once():
    first, length = parse(HEAD % (b"", b"5"))
    second, other = parse(HEAD % (b"", b"123"))
    assert first is second
    assert (length, other) == (5, 123)


def test_kept_head_does_not_tell_the_length_of_another_request():
    head, _ = parse(HEAD % (b"length", b"5"))
    assert head.get(b"content-length") == b""
    assert head.fields == [(b"Host", b"a"), (b"X", b"y")]


@pytest.mark.parametrize("digits", [b"", b"+5", b"-1", b"5,5", b"0x5", b"5 5", b"1" * 13, b"5\r", b"5\n", b"\xb2"])
def test_length_of_a_kept_head_is_checked_again(digits):
    parse(HEAD % (b"checked", b"5"))
    with pytest.raises(Malformed):
        parse(HEAD % (b"checked", digits))


@pytest.mark.parametrize("more", [b"Content-Length: 6\r\n", b"content-length:5\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_kept_head_does_not_let_a_second_framing_pass(more):
    parse(HEAD % (b"second", b"5"))
    for _ in range(2):
        with pytest.raises(Malformed):
            parse(HEAD % (b"second", b"5") + more)


@pytest.mark.parametrize("name", [b"CONTENT-LENGTH: ", b"Content-Length:", b"content-length:\t"])
def test_length_in_any_spelling_is_read(name):
    head, length = parse(HEAD.replace(b"Content-Length: ", name) % (b"spelling", b"7"))
    assert length == 7
    assert head.path == b"/spelling"


def test_cache_is_bounded():
    first, _ = parse(HEAD % (b"first", b"5"))
    for n in range(HEADS_MAX + 1):
        parse(HEAD % (b"%d" % n, b"5"))
    again, _ = parse(HEAD % (b"first", b"5"))
    assert again is not first


def test_long_head_is_not_kept():
    head = HEAD % (b"x" * 5000, b"5")
    assert parse(head)[0] is not parse(head)[0]
