"""Where a bucket is, as settings name it."""

from urllib.parse import parse_qsl, urlsplit

import msgspec

REGION = "us-east-1"
OPTIONS = {"endpoint", "region"}


class S3Address(msgspec.Struct, frozen=True, kw_only=True):
    """`s3://bucket/prefix?endpoint=https://…&region=…`"""

    bucket: str
    prefix: str
    """'' or ends in '/'."""
    endpoint: str
    """'' for Amazon's."""
    region: str


def read_address(url: str) -> S3Address:
    """The setting. Raises ValueError, which says what is wrong."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if parts.scheme != "s3" or not parts.netloc or parts.username or parts.port:
        raise ValueError("not like s3://bucket?endpoint=https://s3.example.com&region=us-east-1")
    if unknown := set(options) - OPTIONS:
        raise ValueError(f"unknown option {sorted(unknown)[0]}; there are endpoint and region")
    endpoint = options.get("endpoint", "").rstrip("/")
    if endpoint and (urlsplit(endpoint).scheme not in ("http", "https") or not urlsplit(endpoint).hostname):
        raise ValueError("its endpoint is no http or https address")
    prefix = parts.path.strip("/")
    return S3Address(
        bucket=parts.netloc,
        prefix=prefix + "/" if prefix else "",
        endpoint=endpoint,
        region=options.get("region", REGION),
    )
