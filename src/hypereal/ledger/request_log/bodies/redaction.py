"""What is taken out of bodies before they are kept: media, credentials, and e-mail addresses where that is wanted.

It works on bytes and knows no format, so it finds the same in JSON, in events and in code. A secret that a stream
brings in several events is not found. Each pattern begins with a literal, for which `re` has a quick search: a megabyte
of text takes some 70 ms, and no text more than twice that.
"""

import base64
import binascii
import re
from collections.abc import Iterator

from hypereal.kit.media_types import sniff

KEPT_BYTES_MAX = 256 * 1024
"""Of one body, redacted."""
RUN_LENGTH_MIN = 256
"""Of base64: shorter is a name, a hash or an id. What is longer is never kept, whatever it is."""
SNIFFED_LENGTH = 700
"""Of base64: enough for a file's beginning."""
DECLARED_LENGTH_MAX = 200
LOCAL_PART_LENGTH_MAX = 64
"""Of an e-mail address: what stands before the @ (RFC 5321)."""
REDACTED = b"[redacted]"
ADDRESS = b"[e-mail address]"

_media = re.compile(rb"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{%d,}={0,2}" % RUN_LENGTH_MIN)
_declared = re.compile(rb"data:([\w.+-]{1,60}/[\w.+-]{1,60})[^,\"\s]{0,60};base64,\Z").search
_private_keys = re.compile(
    rb"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[^-]{0,20000}(?:-(?!----)[^-]{0,20000}){0,20000}"
    rb"(?:-----END [A-Z ]{0,30}PRIVATE KEY-----)?"
)
_in_urls = re.compile(rb"://([^\s/@:\"\\]{0,100}:[^\s/@\"\\]{1,200})@")
_shapes = [
    (prefix, re.compile(b"%b(?<![A-Za-z0-9]%b)%b" % (re.escape(prefix), re.escape(prefix), rest)))
    for prefix, rest in (
        (b"ck_", rb"[0-9A-Za-z]{16,}"),  # ours
        (b"sk-", rb"[A-Za-z0-9_-]{16,}"),
        (b"xai-", rb"[A-Za-z0-9]{20,}"),
        (b"gsk_", rb"[A-Za-z0-9]{20,}"),
        (b"pplx-", rb"[A-Za-z0-9]{20,}"),
        (b"hf_", rb"[A-Za-z0-9]{20,}"),
        (b"r8_", rb"[A-Za-z0-9]{20,}"),
        (b"AIza", rb"[0-9A-Za-z_-]{35}"),
        (b"ya29.", rb"[0-9A-Za-z_-]{20,}"),
        (b"AKIA", rb"[0-9A-Z]{16}"),
        (b"ASIA", rb"[0-9A-Z]{16}"),
        (b"gh", rb"[pousr]_[A-Za-z0-9]{30,}"),
        (b"github_pat_", rb"[A-Za-z0-9_]{22,}"),
        (b"glpat-", rb"[A-Za-z0-9_-]{16,}"),
        (b"npm_", rb"[A-Za-z0-9]{30,}"),
        (b"sk_", rb"(?:live|test)_[A-Za-z0-9]{10,}"),
        (b"pk_", rb"(?:live|test)_[A-Za-z0-9]{10,}"),
        (b"rk_", rb"(?:live|test)_[A-Za-z0-9]{10,}"),
        (b"whsec_", rb"[A-Za-z0-9+/=_-]{16,}"),
        (b"xox", rb"[a-z]-[A-Za-z0-9-]{10,}"),
        (b"eyJ", rb"[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"),  # JSON Web Tokens
    )
]
_schemes = [
    (name, re.compile(name + rb"\s{1,9}((?=[a-z._~+/-]{0,200}[0-9=]|[a-z._~+/-]{32})[a-z0-9._~+/-]{8,}=*)"))
    for name in (b"bearer", b"basic")
]
_named = [
    (
        name,
        re.compile(re.escape(name) + rb"(?:\\{0,9}[\"']\s{0,9}[:=]\s{0,9}\\{0,9}[\"']|=[\"']?)([^\s\"'\\&,;]{4,4000})"),
    )
    for name in (
        *(b"api_key", b"api-key", b"apikey", b"secret", b"password", b"passwd", b"passphrase", b"authorization"),
        *(b"access_token", b"access-token", b"accesstoken", b"refresh_token", b"id_token", b"auth_token"),
        *(b"secret_key", b"access_key", b"private_key"),
    )
]
"""A member, a parameter or a variable that says what it holds: `"api_key": "…"`, `PASSWORD=…`. In small letters."""
_domains = re.compile(rb"@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}")
_local_part = re.compile(rb"[A-Za-z0-9._%%+-]{1,%d}\Z" % LOCAL_PART_LENGTH_MAX).search

Span = tuple[int, int]


def redacted(body: bytes, *, is_cut: bool, with_addresses: bool) -> tuple[str, bool]:
    """BODY as text that may be kept, of KEPT_BYTES_MAX at most; and whether its end is missing, as where it IS_CUT.

    WITH_ADDRESSES: e-mail addresses may be kept, too.
    """
    if b"\\/" in body:
        body = body.replace(b"\\/", b"/")  # the same JSON; some encoders break base64 so
    if b"PRIVATE KEY-----" in body:
        body = _private_keys.sub(REDACTED, body)
    body = _media.sub(lambda found: _note(found, is_cut), body)
    body = _without(body, _credentials(body), REDACTED)
    body = _without(body, _said_to_be_secret(body.lower()), REDACTED)
    if not with_addresses:
        body = _without(body, _addresses(body), ADDRESS)
    if len(body) > KEPT_BYTES_MAX:
        body, is_cut = body[:KEPT_BYTES_MAX], True
        while body and body[-1] & 0xC0 == 0x80:  # in the middle of a character
            body = body[:-1]
        if body and body[-1] >= 0xC0:
            body = body[:-1]
    text = body.decode("utf-8", "replace")
    return (f"{text}[cut: {len(text)} characters are kept]" if is_cut else text), is_cut


def _without(body: bytes, spans: Iterator[Span], note: bytes) -> bytes:
    """BODY with NOTE in the place of each of SPANS, which may overlap."""
    pieces, at = [], 0
    for start, end in sorted(spans):
        if start >= at:
            pieces += [body[at:start], note]
        at = max(at, end)
    return b"".join([*pieces, body[at:]])


def _credentials(body: bytes) -> Iterator[Span]:
    """Of what has the shape of one."""
    for prefix, shape in _shapes:
        if prefix in body:
            for found in shape.finditer(body):
                yield found.span()
    if b"://" in body:
        for found in _in_urls.finditer(body):
            yield found.span(1)


def _said_to_be_secret(lowered: bytes) -> Iterator[Span]:
    """Of what a name before it says is one."""
    for name, pattern in (*_schemes, *_named):
        if name in lowered:
            for found in pattern.finditer(lowered):
                if found[1] != REDACTED:
                    yield found.span(1)


def _addresses(body: bytes) -> Iterator[Span]:
    for found in _domains.finditer(body):
        local = _local_part(body, max(0, found.start() - LOCAL_PART_LENGTH_MAX), found.start())
        if local is not None:
            yield local.start(), found.end()


def _note(found: "re.Match[bytes]", is_cut: bool) -> bytes:
    """What stood there: its type and its size in bytes."""
    run, start = found[0], found.start()
    declared = _declared(found.string, max(0, start - DECLARED_LENGTH_MAX), start)
    kind = declared[1].decode() if declared else _sniffed(run) or "base64"
    size_bytes = len(run.rstrip(b"=")) * 3 // 4
    more = " or more" if is_cut and found.end() == len(found.string) else ""
    return f"[{kind}, {size_bytes} bytes{more}, not kept]".encode()


def _sniffed(run: bytes) -> str | None:
    start = run[:SNIFFED_LENGTH].rstrip(b"=").replace(b"-", b"+").replace(b"_", b"/")
    try:
        return sniff(base64.b64decode(start[: len(start) // 4 * 4]))
    except binascii.Error:
        return None
