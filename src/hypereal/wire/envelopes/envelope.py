"""What a cloud wants of a request in one of our dialects. Pure: it moves members; the others stay as they came."""

from collections.abc import Mapping
from typing import Protocol

from hypereal.kit.dialects import Dialect
from hypereal.wire.members import Fields
from hypereal.wire.request import Request

BETA = b"anthropic-beta"

Betas = Mapping[str, str] | None
"""What a cloud calls each of the vendor's betas that it knows, and refuses any other; None: it takes them all."""


class Envelope(Protocol):
    """One cloud's way of carrying the bodies of the dialects that it speaks."""

    def route(self, dialect: Dialect, model: str, *, stream: bool, counts_tokens: bool) -> str:
        """The path to MODEL after that of the provider's base URL."""

    def can_count(self, dialect: Dialect) -> bool:
        """Whether it counts tokens in DIALECT, and answers as the dialect does."""

    def seal(
        self, request: Request, model: str, forwarded: bytes, betas: Betas, *, counts_tokens: bool
    ) -> tuple[Fields, bytes]:
        """The body's members, and ready lines for the head.

        FORWARDED are the lines of the caller's head that may go upstream.
        """


def known_betas(forwarded: bytes, betas: Betas) -> list[str]:
    """The betas that a caller's head asks for, by the cloud's own names, each once."""
    asked: list[str] = []
    for line in forwarded.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == BETA:
            asked += [beta.strip() for beta in value.decode("latin-1").split(",") if beta.strip()]
    known = asked if betas is None else [betas[beta] for beta in asked if beta in betas]
    return list(dict.fromkeys(known))


def without(fields: Fields, *names: str) -> Fields:
    """FIELDS but for those of NAMES."""
    return {name: value for name, value in fields.items() if name not in names}
