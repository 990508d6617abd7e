"""What a caller keeps for us between two turns, in a member that its dialect has for bytes of the vendor's own.

Signed thinking, encrypted reasoning: clients send them back as they got them. It is not secret, and not believed more
than any other part of a caller's conversation.
"""

import base64
import binascii

import msgspec

from hypereal.wire.members import UNREADABLE, encode

_MARK = b"hypereal:"
_PREFIX = base64.b64encode(_MARK).decode()  # nine bytes, so that base64 has no say in what follows

_values = msgspec.json.Decoder(dict[str, str])


def seal(**values: str) -> str:
    """VALUES as base64, never empty; those that are empty are left out."""
    return base64.b64encode(_MARK + encode({name: value for name, value in values.items() if value})).decode()


def unseal(sealed: object) -> dict[str, str] | None:
    """What `seal` was given; None for what it did not make."""
    if not isinstance(sealed, str) or not sealed.startswith(_PREFIX):
        return None
    try:
        return _values.decode(base64.b64decode(sealed, validate=True)[len(_MARK) :])
    except (binascii.Error, ValueError, *UNREADABLE):
        return None
