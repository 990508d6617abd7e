"""Which of the credentials that a request carries is the key. Contract section 9."""

from collections.abc import Iterable

from hypereal.kit.ids import KEY_PREFIX

NO_KEY = "No API key. Send it as 'Authorization: Bearer ck_...' or 'x-api-key: ck_...'."

_PREFIX = KEY_PREFIX.encode()


def choose_credential(authorization: bytes, others: Iterable[bytes]) -> bytes:
    """Of AUTHORIZATION and the OTHERS (x-api-key, x-goog-api-key, ?key=) the first that begins with `ck_` decides.

    Where none does, the first one that was sent, so that the refusal can say what is wrong with it; b'' without any.
    """
    scheme, _, token = authorization.partition(b" ")
    candidates = [token.strip() if scheme.lower() == b"bearer" else authorization, *others]
    sent = [candidate for candidate in candidates if candidate]
    return next((one for one in sent if one.startswith(_PREFIX)), sent[0] if sent else b"")
