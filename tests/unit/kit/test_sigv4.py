"""Signature Version 4 against the vectors that Amazon publishes, step by step."""

import pytest
from tests.support.clouds import is_signed
from tests.support.upstream import Recorded

from hypereal.kit.sigv4 import (
    AwsCredentials,
    Presigned,
    authorization,
    canonical_request,
    presigned_query,
    signed_lines,
    string_to_sign,
)

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
EXAMPLE = AwsCredentials(access_key_id="AKIDEXAMPLE", secret_access_key=SECRET, session_token=None, region="us-east-1")
STAMP = "20150830T123600Z"
SCOPE = "20150830/us-east-1/service/aws4_request"
HOST_AND_DATE = [("host", "example.amazonaws.com"), ("x-amz-date", STAMP)]
SESSION = (
    "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7"
    "mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d"
    "+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
)
FORM = [("content-type", "application/x-www-form-urlencoded"), *HOST_AND_DATE]


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "digest", "signature"),
    [
        pytest.param(
            "POST",
            "/",
            HOST_AND_DATE,
            b"",
            "553f88c9e4d10fc9e109e2aeb65f030801b70c2f6468faca261d401ae622fc87",
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            id="post-vanilla",
        ),
        pytest.param(
            "GET",
            "/",
            HOST_AND_DATE,
            b"",
            "bb579772317eb040ac9ed261061d46c1f17a8133879d6129b6e1c25292927e63",
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            id="get-vanilla",
        ),
        pytest.param(
            "POST",
            "/",
            [*HOST_AND_DATE, ("x-amz-security-token", SESSION)],
            b"",
            "c237e1b440d4c63c32ca95b5b99481081cb7b13c7e40434868e71567c1a882f6",
            "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
            id="post-sts-header-before",
        ),
        pytest.param(
            "POST",
            "/",
            FORM,
            b"Param1=value1",
            "42a5e5bb34198acb3e84da4f085bb7927f2bc277ca766e6d19c73c2154021281",
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
            id="post-x-www-form-urlencoded",
        ),
        pytest.param(
            "GET",
            "/\u1234",
            HOST_AND_DATE,
            b"",
            "2a0a97d02205e45ce2e994789806b19270cfbbb0921b278ccf58f5249ac42102",
            "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
            id="get-utf8",
        ),
        pytest.param(
            "GET",
            "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
            HOST_AND_DATE,
            b"",
            "6a968768eefaa713e2a6b16b589a8ea192661f098f37349f4e2c0082757446f9",
            "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
            id="get-unreserved",
        ),
    ],
)
def test_published_vectors(method, path, headers, body, digest, signature) -> None:
    canonical = canonical_request(method, path, headers, body)
    assert string_to_sign(STAMP, SCOPE, canonical) == f"AWS4-HMAC-SHA256\n{STAMP}\n{SCOPE}\n{digest}"
    names = ";".join(name for name, _ in headers)
    assert authorization(EXAMPLE, "service", STAMP, canonical) == (
        f"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{SCOPE}, SignedHeaders={names}, Signature={signature}"
    )


def test_a_published_canonical_request() -> None:
    assert canonical_request("GET", "/\u1234", HOST_AND_DATE, b"") == (
        f"GET\n/%E1%88%B4\n\nhost:example.amazonaws.com\nx-amz-date:{STAMP}\n\nhost;x-amz-date\n"
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )


@pytest.mark.parametrize("session_token", [None, "FwoGZXIvYXdzE//+=="])
@pytest.mark.parametrize("path", ["/model/a.b-v1%3A0/invoke", "/model/arn%3Aaws%3Abedrock%3A1%2Fx/invoke"])
def test_an_upstream_that_computes_it_anew_agrees_and_notices_every_change(session_token: str, path: str) -> None:
    credentials = AwsCredentials(
        access_key_id="AKID", secret_access_key="s3cret", session_token=session_token, region="eu-west-1"
    )
    lines = signed_lines(
        credentials, "bedrock", authority="h.example:81", path=path, body=b'{"a": 1}', at_unix_s=1_767_225_600.9
    )
    assert b"x-amz-date: 20260101T000000Z\r\n" in lines
    fixed = b"host: h.example:81\r\ncontent-type: application/json\r\n" + lines
    head = b"POST %s HTTP/1.1\r\n%s\r\n" % (path.encode(), fixed)
    assert is_signed(Recorded(head, b'{"a": 1}'), {"AKID": "s3cret"})
    assert not is_signed(Recorded(head, b'{"a": 2}'), {"AKID": "s3cret"})
    assert not is_signed(Recorded(head, b'{"a": 1}'), {"AKID": "other"})
    for there, other in ((b"h.example", b"x.example"), (b"/invoke", b"/invok3"), (b"000000Z", b"000001Z")):
        assert not is_signed(Recorded(head.replace(there, other), b'{"a": 1}'), {"AKID": "s3cret"})
    if session_token:
        assert not is_signed(Recorded(head.replace(b"FwoG", b"Fwog"), b'{"a": 1}'), {"AKID": "s3cret"})


def test_no_repr_shows_a_secret() -> None:
    assert repr(EXAMPLE) == "AwsCredentials(AKID…, us-east-1)"


def test_a_presigned_link_is_that_of_the_s3_guide():
    example = AwsCredentials(
        access_key_id="AKIAIOSFODNN7EXAMPLE",
        secret_access_key="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        session_token=None,
        region="us-east-1",
    )
    request = Presigned(method="GET", authority="examplebucket.s3.amazonaws.com", path="/test.txt", expires_s=86400)
    query = presigned_query(example, request, at_unix_s=1369353600)
    assert query.endswith("&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404")
