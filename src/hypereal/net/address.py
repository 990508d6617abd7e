"""Where an upstream listens."""

import msgspec


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where an upstream listens: HOST and PORT, or a unix socket at PATH."""

    host: str = ""
    port: int = 0
    uses_tls: bool = False
    path: str = ""

    def __str__(self) -> str:
        return f"unix:{self.path}" if self.path else f"{self.host}:{self.port}"
