"""Links that are good by themselves: a signature over what they allow, by this installation's secret.

A download link has no end of its own: it is good while its object is there. An upload link ends.
"""

import base64
import hmac
import re
from urllib.parse import parse_qs, quote, urlsplit

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hypereal.kit.ids import ObjectId

PURPOSE = b"hypereal storage links 1"
"""Tells this key from others made of the same secret."""
FILES = "/v1/files/"
UPLOADS = "/v1/uploads/"

_file = re.compile(FILES + r"(obj_[0-9a-f]{27})/[^/]*").fullmatch


class Links:
    """Makes and checks links. SECRET is the server's."""

    def __init__(self, secret: str) -> None:
        self._key = HKDF(algorithm=SHA256(), length=32, salt=None, info=PURPOSE).derive(secret.encode())

    def download(self, object_id: ObjectId, filename: str) -> str:
        """Path and query. The name is for people and for clients that go by its ending; it is not signed."""
        return f"{FILES}{object_id}/{quote(filename, safe='')}?s={self._sign('GET', object_id)}"

    def upload(self, object_id: ObjectId, until_unix_s: int) -> str:
        """Path and query."""
        signature = self._sign("PUT", object_id, str(until_unix_s))
        return f"{UPLOADS}{object_id}?until={until_unix_s}&s={signature}"

    def may_download(self, object_id: str, signature: str) -> bool:
        """Whether a link with SIGNATURE was made for OBJECT_ID."""
        return _same(signature, self._sign("GET", object_id))

    def may_upload(self, object_id: str, until: str, signature: str, now_unix_s: float) -> bool:
        """Whether a link was made for OBJECT_ID, and has not ended."""
        is_ours = _same(signature, self._sign("PUT", object_id, until))
        return is_ours and now_unix_s < int(until)

    def object_of(self, url: str) -> ObjectId | None:
        """The object that a download link of ours leads to, under whatever address this installation has."""
        try:
            parts = urlsplit(url)
        except ValueError:
            return None
        found = _file(parts.path)
        signature = parse_qs(parts.query).get("s", [""])[0]
        return ObjectId(found.group(1)) if found and self.may_download(found.group(1), signature) else None

    def _sign(self, *parts: str) -> str:
        digest = hmac.digest(self._key, "\n".join(parts).encode("utf-8", "replace"), "sha256")
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _same(given: str, right: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), right.encode())
