"""How much of its minute an owner has left."""

import msgspec


class Quota(msgspec.Struct, frozen=True, gc=False):
    """What a reply says of its owner's window, this request counted."""

    limit: int
    remaining: int
    reset_s: int

    @property
    def headers(self) -> dict[str, str]:
        """Contract 1.5."""
        return {
            "x-ratelimit-limit": str(self.limit),
            "x-ratelimit-remaining": str(self.remaining),
            "x-ratelimit-reset": str(self.reset_s),
        }
