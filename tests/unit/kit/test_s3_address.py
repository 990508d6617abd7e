"""Where a bucket is: what is read of the setting, and what is refused with a reason before anything is asked there."""

import pytest

from hypereal.kit.s3_address import S3Address, read_address


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("s3://b", S3Address(bucket="b", prefix="", endpoint="", region="us-east-1")),
        (
            "s3://my-bucket.x/below/it/?endpoint=https://s3.example.com:9000/base/&region=eu-central-1",
            S3Address(
                bucket="my-bucket.x",
                prefix="below/it/",
                endpoint="https://s3.example.com:9000/base",
                region="eu-central-1",
            ),
        ),
        (
            "s3://b?endpoint=http://[::1]:9000",
            S3Address(bucket="b", prefix="", endpoint="http://[::1]:9000", region="us-east-1"),
        ),
    ],
)
def test_an_address_is_read(url: str, address: S3Address) -> None:
    assert read_address(url) == address


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "not like s3://"),
        ("s3://", "not like s3://"),
        ("http://x", "not like s3://"),
        ("s3://user@b", "not like s3://"),
        ("s3://b:9", "not like s3://"),
        ("s3://b:x", "cannot be read"),
        ("s3://[b", "cannot be read"),
        ("s3://b?x=1", "unknown option x"),
        ("s3://b..c", "bucket"),
        ("s3://-b", "bucket"),
        ("s3://" + "b" * 64, "bucket"),
        ("s3://b/a b", "characters"),
        ("s3://b?region=", "region"),
        ("s3://b?region=a b", "region"),
        ("s3://b?endpoint=ftp://h", "endpoint"),
        ("s3://b?endpoint=http://", "endpoint"),
        ("s3://b?endpoint=http://[bad", "endpoint"),
        ("s3://b?endpoint=http://h:99999", "endpoint"),
        ("s3://b?endpoint=http://h:0", "endpoint"),
        ("s3://b?endpoint=http://h/a%20b", "endpoint"),
        ("s3://b?endpoint=http://h/%23x", "endpoint"),
        ("s3://b?endpoint=http://ada:secret@h", "endpoint"),
    ],
)
def test_what_is_none_is_refused_and_says_why(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_address(url)
