"""What is taken out of bodies: known shapes of credentials, media of any type, addresses on demand, and no more."""

import base64
import json

import pytest

from hypereal.ledger.request_log.bodies.redaction import KEPT_BYTES_MAX, redacted

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4
WAV = b"RIFF\x24\x08\0\0WAVEfmt " + bytes(range(256)) * 4
SECRETS = [
    "ck_" + "0123456789abcdef" * 4,
    "sk-proj-abcDEF0123456789_-abcdef",
    "sk-ant-api03-abcdefghijklmnop-0123",
    "AKIAIOSFODNN7EXAMPLE",
    "AIza" + "SyA0123456789abcdefghijklmnopqrstuv",
    "ya29.a0AfH6SMBx0123456789abcdef",
    "ghp_" + "a1B2c3D4e5F6" * 3,
    "github_pat_11ABCDEFG0abcdefghijkl_0123",
    "glpat-abcdefghij0123456789",
    "xoxb-123456789012-abcdefABCDEF",
    "hf_abcdefghijklmnopqrstuvwxyz0123",
    "sk_live_abcdefghij0123456789",
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
]


def text(body: str | bytes, **options: bool) -> str:
    given = {"is_cut": False, "with_addresses": True} | options
    return redacted(body if isinstance(body, bytes) else body.encode(), **given)[0]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize(
    "around", ["{}", "my key is {}.", '{{"text":"{}"}}', "KEY='{}'\\n", "https://a.example/?k={}&b=1"]
)
def test_a_credential_is_taken_out_wherever_it_stands(secret: str, around: str) -> None:
    told = text(around.format(secret))
    assert secret not in told
    assert "[redacted]" in told
    before, after = around.replace("{{", "{").replace("}}", "}").split("{}")
    assert told.startswith(before)
    assert told.endswith(after)


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        ("authorization: Bearer abc.DEF-123456", "authorization: Bearer [redacted]"),
        ("Authorization: basic YWRhOnNlc2FtZQ==", "Authorization: basic [redacted]"),
        ('{"api_key":"hunter2hunter2","n":1}', '{"api_key":"[redacted]","n":1}'),
        ('{"arguments":"{\\"password\\": \\"hunter2\\"}"}', '{"arguments":"{\\"password\\": \\"[redacted]\\"}"}'),
        ("export DB_PASSWORD=hunter2 X=1", "export DB_PASSWORD=[redacted] X=1"),
        ("postgresql://ada:hunter2@db.example/x", "postgresql://[redacted]@db.example/x"),
        ("-----BEGIN RSA PRIVATE KEY-----\\nMIIE\\n-----END RSA PRIVATE KEY-----\\n", "[redacted]\\n"),
        ("x -----BEGIN PRIVATE KEY-----\nMIIE\n", "x [redacted]"),
    ],
)
def test_what_says_that_it_is_secret_is_believed(body: str, kept: str) -> None:
    assert text(body) == kept


@pytest.mark.parametrize(
    "body",
    [
        '{"messages":[{"role":"user","content":"What does a bearer token do? Basic authentication?"}]}',
        "A risk-management-and-task-handling-guideline, desk-side.",
        '{"max_tokens":50,"required":["password"],"properties":{"password":{"type":"string"}}}',
        '{"id":"chatcmpl-0123456789abcdef","sha":"' + "ab" * 32 + '"}',
        "see https://example.com/a:b and ada@example.com",
        "grüße \U0001f30d\x00",
    ],
)
def test_ordinary_text_stays_as_it_is(body: str) -> None:
    assert text(body) == body


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize(("content", "kind"), [(PNG, "image/png"), (WAV, "audio/wav"), (bytes(999), "base64")])
def test_media_is_replaced_by_its_type_and_size(encode, content: bytes, kind: str) -> None:
    told = json.loads(text(json.dumps({"data": encode(content).decode(), "n": 1})))
    assert told == {"data": f"[{kind}, {len(content)} bytes, not kept]", "n": 1}


def test_media_of_a_data_url_is_what_that_says() -> None:
    url = "data:image/webp;base64," + base64.b64encode(bytes(600)).decode()
    assert text(json.dumps({"url": url})) == '{"url": "data:image/webp;base64,[image/webp, 600 bytes, not kept]"}'


def test_slashes_that_an_encoder_escaped_do_not_hide_media() -> None:
    body = json.dumps({"data": base64.b64encode(b"\xff" * 900).decode()}).replace("/", "\\/")
    assert text(body) == '{"data": "[base64, 900 bytes, not kept]"}'


def test_media_that_was_cut_was_at_least_so_large() -> None:
    told, is_cut = redacted(b'{"a":"' + base64.b64encode(PNG)[:600], is_cut=True, with_addresses=True)
    assert told.startswith('{"a":"[image/png, 450 bytes or more, not kept]')
    assert is_cut


def test_addresses_are_taken_out_where_that_is_wanted() -> None:
    assert text("mail ada.l+x@mail.example.com, now", with_addresses=False) == "mail [e-mail address], now"
    assert text("a@b and @handle", with_addresses=False) == "a@b and @handle"


def test_what_is_too_long_is_cut_between_characters_and_says_so() -> None:
    told, is_cut = redacted("ü 1".encode() * KEPT_BYTES_MAX, is_cut=False, with_addresses=True)
    assert is_cut
    assert told.endswith("characters are kept]")
    assert len(told.encode()) <= KEPT_BYTES_MAX + 60
    assert "�" not in told


def test_bytes_that_are_no_text_are_still_told() -> None:
    assert text(b"\xff{}") == "�{}"
