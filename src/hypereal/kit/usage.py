"""What a call consumed, in one shape for every vendor. `wire/usage.py` fills it; `catalog/price.py` prices it."""

import msgspec


class Usage(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """Token counts of one call.

    The four input kinds exclude each other; `reasoning_tokens` is a part of `output_tokens`.
    """

    input_tokens: int = 0
    """Input that was neither read from nor written to a cache."""
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    """Written with the short (5 minute) life."""
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    """All output, reasoning included."""
    reasoning_tokens: int = 0
    web_searches: int = 0
    """Server-side web searches, priced per search."""
    is_estimated: bool = False
    """Counted by us, because the upstream did not say or the caller left."""

    @property
    def input_tokens_total(self) -> int:
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens + self.cache_write_1h_tokens
