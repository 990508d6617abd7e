"""Where a bucket is, as settings name it."""

import re
from urllib.parse import parse_qsl, urlsplit

import msgspec

REGION = "us-east-1"
OPTIONS = {"endpoint", "region"}
_bucket = re.compile(r"(?!.*\.\.)[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?").fullmatch
_prefix = re.compile(r"[A-Za-z0-9/!_.*'()~-]{0,500}").fullmatch
_region = re.compile(r"[A-Za-z0-9-]{1,40}").fullmatch
_endpoint = re.compile(
    r"https?://(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?(?:/[A-Za-z0-9/._~-]*)?"
).fullmatch


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
    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        has_port = parts.port is not None
    except ValueError:
        raise ValueError("it cannot be read as an address") from None
    if parts.scheme != "s3" or not parts.netloc or parts.username or has_port:
        raise ValueError("not like s3://bucket?endpoint=https://s3.example.com&region=us-east-1")
    if unknown := set(options) - OPTIONS:
        raise ValueError(f"unknown option {sorted(unknown)[0]}; there are endpoint and region")
    if not _bucket(parts.netloc):
        raise ValueError("its bucket has a name that no bucket can have")
    if not _prefix(parts.path):
        raise ValueError("what follows the bucket's name has characters that need not be there")
    endpoint, region = options.get("endpoint", "").rstrip("/"), options.get("region", REGION)
    if endpoint and not _is_endpoint(endpoint):
        raise ValueError("its endpoint is no http or https address")
    if not _region(region):
        raise ValueError("its region is none")
    prefix = parts.path.strip("/")
    return S3Address(bucket=parts.netloc, prefix=prefix + "/" if prefix else "", endpoint=endpoint, region=region)


def _is_endpoint(endpoint: str) -> bool:
    try:
        return _endpoint(endpoint) is not None and urlsplit(endpoint).port != 0
    except ValueError:
        return False
