"""Request heads, parsed once: a client repeats its head but for the digits of its body length, so the parse is kept."""

from typing import Final

from hypereal.net.http1 import Malformed, RequestHead, is_length, parse_request

HEADS_MAX: Final = 2048
HEAD_BYTES_MAX: Final = 4096
"""Of a head that is kept."""

_heads: Final[dict[bytes, RequestHead]] = {}


def parse_cached(data: bytes, end: int) -> tuple[RequestHead, int]:
    """The head of DATA, whose last field ends at END, and its Content-Length (0 where there is none).

    Raises Malformed. The key is every byte of the head but the one Content-Length field, so a hit was parsed before.
    """
    start = data.find(b"\r\nContent-Length: ", 0, end)
    if start < 0:
        start = data.find(b"\r\ncontent-length: ", 0, end)
    if start < 0 or end > HEAD_BYTES_MAX:
        head, length = parse_request(data[: end + 2])
        return head, int(length or 0)
    stop = data.find(b"\r\n", start + 18)
    signature = data[:start] + data[stop:end]
    kept = _heads.get(signature)
    if kept is None:
        kept, length = parse_request(data[: end + 2])
        if len(_heads) >= HEADS_MAX:
            _heads.clear()
        _heads[signature] = kept
        return kept, int(length or 0)
    digits = data[start + 18 : stop].strip(b" \t")
    if not is_length(digits):
        raise Malformed(400, "bad content-length")
    return kept, int(digits)
