"""Where vendors may call us: an address for each task, signed, and a secret for those that sign with what they get."""

import hmac

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

PURPOSE = b"hypereal media callbacks 1"
PATH = "/v1/callbacks/"


class Addresses:
    """Addresses for vendors' calls, and a secret for each, made of the installation's SECRET."""

    def __init__(self, secret: str, public_url: str | None) -> None:
        self._key = HKDF(algorithm=SHA256(), length=32, salt=None, info=PURPOSE).derive(secret.encode())
        self._public_url = public_url

    def url(self, name: str) -> str | None:
        """Where a vendor calls about the part NAME, 'job_…-0'; None where it cannot reach us."""
        if self._public_url is None or not self._public_url.startswith("https://"):
            return None
        return f"{self._public_url}{PATH}{name}?s={self._made('link', name)}"

    def secret(self, name: str) -> str:
        """What a vendor that signs with what it is given signs with."""
        return self._made("secret", name)

    def is_ours(self, name: str, signature: str) -> bool:
        """Whether an address with SIGNATURE was made for NAME."""
        return hmac.compare_digest(signature.encode(), self._made("link", name).encode())

    def _made(self, what: str, name: str) -> str:
        return hmac.new(self._key, f"{what}/{name}".encode(), "sha256").hexdigest()
