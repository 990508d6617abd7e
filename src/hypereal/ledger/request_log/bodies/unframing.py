"""The body of an answer that we have written ourselves, without its head and its chunks."""

HEAD_END = b"\r\n\r\n"


def body_of(answer: bytes) -> bytes:
    """What follows the head of ANSWER, as far as it is there; interim answers (100) are passed over."""
    while True:
        head, _, rest = answer.partition(HEAD_END)
        if not head.startswith(b"HTTP/1.1 1"):
            break
        answer = rest
    return _unchunked(rest) if b"\r\ntransfer-encoding: chunked" in head.lower() else rest


def _unchunked(framed: bytes) -> bytes:
    """The content of chunks; the last may be cut."""
    pieces, at = [], 0
    while (end := framed.find(b"\r\n", at)) != -1:
        try:
            size = int(framed[at:end].partition(b";")[0], 16)
        except ValueError:
            break
        if size == 0:
            break
        pieces.append(framed[end + 2 : end + 2 + size])
        at = end + 2 + size + 2
    return b"".join(pieces)
