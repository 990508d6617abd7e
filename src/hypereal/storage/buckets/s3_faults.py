"""What an S3 says when it refuses us, as what an operator is to mend.

By its error code (Amazon S3's API reference, "Error responses"), which obstore hands on in its message; other S3s use
the same ones.
"""

import re

from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

from hypereal.storage.faults import BucketAway

LENGTH_MAX = 300

_code = re.compile(r"<Code>([A-Za-z0-9]{1,60})</Code>").search
_status = re.compile(r"status code: ([0-9]{3})").search
_WRONG_REGION = "the bucket is in another region: set its region in [storage] url"
_NOT_KNOWN = "it does not know the access key id: check [storage] access_key_id"
_TEMPORARY = "the session token has ended, or is none: take new credentials"
_TO_MEND = {
    "InvalidAccessKeyId": _NOT_KNOWN,
    "SignatureDoesNotMatch": "the secret does not fit the access key id: check [storage] secret_access_key",
    "AccessDenied": "the key may not do that: let it put, get and delete objects of the bucket",
    "NoSuchBucket": "there is no such bucket: make it, or mend [storage] url",
    "PermanentRedirect": _WRONG_REGION,
    "TemporaryRedirect": _WRONG_REGION,
    "AuthorizationHeaderMalformed": _WRONG_REGION,
    "RequestTimeTooSkewed": "the clock of this machine is off by more than it takes",
    "ExpiredToken": _TEMPORARY,
    "InvalidToken": _TEMPORARY,
}


def away(error: BaseError | TimeoutError | ConnectionError) -> BucketAway:
    """ERROR for operators. It names hosts and keys, so it is not for callers."""
    said = str(error)
    code, status = _code(said), _status(said)
    first = said.partition("\n")[0][:LENGTH_MAX]
    if code is not None:
        return BucketAway(_TO_MEND.get(code[1], f"it refuses with {code[1]}: {first}"))
    if isinstance(error, PermissionDeniedError | UnauthenticatedError):
        return BucketAway("it refuses the credentials: check access_key_id and secret_access_key of [storage]")
    if status is None:
        return BucketAway(f"it does not answer: check the endpoint of [storage] url, and the network ({first})")
    return BucketAway(f"it answers with status {status[1]}: {first}")
