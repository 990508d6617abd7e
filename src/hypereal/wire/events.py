"""Server-sent events as text: from whole events to the JSON that they carry, and back.

An event here is bytes that end in a blank line; cutting a stream into events is `net/sse.py`.
"""

from collections.abc import Callable, Iterator
from typing import Final

DONE: Final = b"[DONE]"
"""The payload that ends a chat stream; no other dialect has one."""


def payloads(events: bytes) -> Iterator[bytes]:
    """The data of each event, in order. Comments and events without data give nothing."""
    for block in _unix_lines(events).split(b"\n\n"):
        payload = _payload(block)
        if payload:
            yield payload


def payload(event: bytes) -> bytes:
    """The data of one event; b'' where it has none."""
    if event.startswith(b"data: ") and event.find(b"\n") == len(event) - 2 and event.find(b"\r") < 0:
        return event[6:-2].strip()  # one line of data, as nearly all are
    return _payload(_unix_lines(event).strip(b"\n"))


def payloads_with(needle: bytes, events: bytes) -> Iterator[bytes]:
    """The data of each event that holds NEEDLE, the last event first: the cheap way to what stands at the end."""
    text = _unix_lines(events)
    end = len(text)
    while (at := text.rfind(needle, 0, end)) >= 0:
        before = text.rfind(b"\n\n", 0, at)
        start = before + 2 if before >= 0 else 0
        after = text.find(b"\n\n", at)
        payload = _payload(text[start : after if after >= 0 else len(text)])
        if payload:
            yield payload
        end = start


def are_all(is_so: Callable[[bytes], bool], events: bytes) -> bool:
    """Whether the data of every event IS_SO; comments and events without data do not count."""
    return all(map(is_so, payloads(events)))


def split(events: bytes) -> list[bytes]:
    """Each event with its blank line, byte for byte; what follows the last blank line comes last."""
    if events.find(b"\r") < 0:
        *whole, rest = events.split(b"\n\n")
        blocks = [block + b"\n\n" for block in whole]
        if rest:
            blocks.append(rest)
        return blocks
    blocks = []
    start = 0
    while start < len(events):
        ends = [at + len(gap) for gap in (b"\n\n", b"\r\n\r\n") if (at := events.find(gap, start)) >= 0]
        end = min(ends, default=len(events))
        blocks.append(events[start:end])
        start = end
    return blocks


def event(payload: bytes) -> bytes:
    """PAYLOAD (JSON on one line, or DONE) as an event without a name: chat and Gemini."""
    return b"data: " + payload + b"\n\n"


def named_event(name: str, payload: bytes) -> bytes:
    """PAYLOAD as an event with a name: messages and responses."""
    return b"event: " + name.encode() + b"\ndata: " + payload + b"\n\n"


def _unix_lines(events: bytes) -> bytes:
    """Line ends as the standard has them (LF, CRLF, CR), all as LF. Inside JSON a CR can only be white space."""
    if events.find(b"\r") < 0:  # half the time of `in`, which tries its operand as a number first
        return events
    return events.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _payload(block: bytes) -> bytes:
    """The data lines of one event, joined. The blank after the colon is optional."""
    if block.startswith(b"data:") and block.find(b"\n") < 0:
        return block[5:].strip()
    lines = [line[5:] for line in block.split(b"\n") if line.startswith(b"data:")]
    return b"\n".join(lines).strip()
