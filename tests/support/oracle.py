"""What llhttp (through httptools) makes of the same bytes: the oracle of our own parsers."""

from typing import Any

import httptools


class Message:
    """One message as the oracle read it."""

    def __init__(self) -> None:
        self.start: tuple[Any, ...] = ()
        self.target = b""
        self.fields: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.is_whole = False


class _Reader:
    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.parser: Any = None

    def on_message_begin(self) -> None:
        self.messages.append(Message())

    def on_url(self, url: bytes) -> None:
        self.messages[-1].target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.messages[-1].fields.append((name, value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        parser = self.parser
        is_request = isinstance(parser, httptools.HttpRequestParser)
        what = parser.get_method() if is_request else parser.get_status_code()
        self.messages[-1].start = (what, parser.get_http_version())

    def on_body(self, body: bytes) -> None:
        self.messages[-1].body += body

    def on_message_complete(self) -> None:
        self.messages[-1].is_whole = True


def _read(kind: Any, data: bytes) -> list[Message]:
    reader = _Reader()
    reader.parser = kind(reader)
    try:
        reader.parser.feed_data(data)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        pass
    return reader.messages


def requests_in(data: bytes) -> list[Message]:
    """The whole requests that DATA begins with."""
    return [message for message in _read(httptools.HttpRequestParser, data) if message.is_whole]


def answer_in(data: bytes) -> Message:
    """The first answer of DATA that is not an interim one; an empty message where there is none."""
    answers = [message for message in _read(httptools.HttpResponseParser, data) if message.start]
    return next((message for message in answers if message.start[0] >= 200), Message())
