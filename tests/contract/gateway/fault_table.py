"""What upstreams do wrong, one row a fault: what it looks like on the wire, and what must come of it. Data only."""

import gzip
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from tests.contract.gateway.formats import CHAT, FORMATS, GEMINI, MESSAGES, RESPONSES, Format
from tests.support import upstream as scripts
from tests.support import vendors
from tests.support.server import UPSTREAM_KEY
from tests.support.upstream import Do, Script, Step, chunk

FIRST = b"from-first"
"""In every id of what the first target says."""
PLAIN, STREAM, BOTH = (False,), (True,), (False, True)


class Outcome(Enum):
    """What comes of a fault of the first target."""

    PASSED_OVER = auto()
    """It has not answered: the second one does, or the caller gets one clean error and pays nothing."""
    ANSWERED = auto()
    """Odd, but an answer: the caller gets it, and pays what it says that it used."""
    ESTIMATED = auto()
    """An answer that does not say what it used: that is counted here."""
    BROKEN = auto()
    """Content went out before it failed: told in-band, and what came is paid."""
    FAILED = auto()
    """The same, where it says so itself: its own words are the last event."""
    BLAMED = auto()
    """The caller's own fault: told at once, whoever else could be asked."""


Scripted = Callable[[Format, bool], Script]


@dataclass(frozen=True)
class Fault:
    """One row."""

    name: str
    script: Scripted
    """What the first target sends, at each try, to a caller who wants a plain answer or a stream."""
    outcome: Outcome = Outcome.PASSED_OVER
    status: int = 502
    """What the caller gets where nobody else answers; in-band: what the row says."""
    tried: Sequence[int] = ()
    """The status of each of its tries, as the row tells them; 0: no answer."""
    tried_alone: Sequence[int] | None = None
    """The same where it is the only target, if that differs."""
    waits_s: float = 0.0
    """For how long the row must say at least that the only target took."""
    provider: str = "first"
    """`slow` is given up after a second of silence; `closed` takes no connection."""
    modes: Sequence[bool] = BOTH
    formats: Sequence[Format] = FORMATS
    is_estimated: bool = True
    """Of a broken stream: whether it was cut before it said what it used."""
    xfail: str = ""
    """What is not so yet, and where."""


# -- pieces ------------------------------------------------------------------------------------------------------------

SSE = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
JSON = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
HTML = b"<!DOCTYPE html><html><body>Bad Gateway " + UPSTREAM_KEY.encode() + b"</body></html>"


def status(code: int, body: Any = None, *fields: str, content_type: str = "application/json") -> Scripted:
    """A whole answer of this status, whatever was asked."""
    said = {"error": {"message": f"a fault of {UPSTREAM_KEY}", "type": "x"}} if body is None else body
    return lambda *_: scripts.plain(said, code, *fields, content_type=content_type)


def wire(*steps: Step) -> Scripted:
    """Any bytes at all."""
    return lambda *_: steps


def said(count: int) -> Callable[[Format], list[bytes]]:
    """The first COUNT events of a usual stream."""
    return lambda format: format.stream(FIRST)[:count]


def announced(format: Format) -> list[bytes]:
    """What a stream says before its first content."""
    return format.stream(FIRST)[: format.announcements]


def content(format: Format) -> list[bytes]:
    """The same, and the first content."""
    return format.stream(FIRST, texts=["some words " * 20] * 3)[: format.announcements + 2]


def streams(*parts: Callable[[Format], Sequence[Step]], then: Sequence[Step] = (), ends: bool = False) -> Scripted:
    """A stream whatever was asked: the events of PARTS in a chunk each, THEN as it is."""

    def script(format: Format, _: bool) -> Script:
        events = [event for part in parts for event in part(format)]
        return [*scripts.stream(events, ends=ends), *then]

    return script


def error(format: Format) -> list[bytes]:
    return [format.error]


def error_later(format: Format) -> list[Step]:
    """So late that what came before has gone out."""
    return [LATER, format.error]


def signs_of_life(format: Format) -> list[Step]:
    """Ten seconds of them."""
    return [format.sign_of_life, 0.25] * 40


def either(plain: Callable[[Format], Script], stream: Callable[[Format], Script]) -> Scripted:
    """By what was asked."""
    return lambda format, is_stream: stream(format) if is_stream else plain(format)


def as_asked(
    *fields: str, changed: Callable[[bytes], bytes] = bytes, content_type: str | None = None, **made: Any
) -> Scripted:
    """A correct answer, CHANGED on its way."""
    kind = {} if content_type is None else {"content_type": content_type}
    return either(
        lambda format: scripts.plain(changed(format.answer(FIRST, **made)), 200, *fields, **kind),
        lambda format: scripts.stream([changed(b"".join(format.stream(FIRST, **made)))], *fields, **kind),
    )


# -- before an answer --------------------------------------------------------------------------------------------------

Passed = Outcome.PASSED_OVER
NO_ANSWER = (
    Fault("429", status(429), status=503, tried=[429, 429]),
    Fault("429, wait 1 s", status(429, None, "retry-after: 1"), status=503, tried=[429, 429], waits_s=1),
    Fault(
        "429, wait 4 s",
        status(429, None, "retry-after: 4"),
        status=503,
        tried=[429],
        tried_alone=[429, 429],
        waits_s=4,
        formats=[MESSAGES],
    ),
    Fault("429, wait 60 s", status(429, None, "retry-after: 60"), status=503, tried=[429]),
    Fault("500", status(500), tried=[500, 500]),
    Fault("502 in HTML", status(502, HTML, content_type="text/html"), tried=[502, 502]),
    Fault("503 of nothing", status(503, b""), status=503, tried=[503, 503]),
    Fault("504", status(504), tried=[504, 504]),
    Fault("529", status(529), status=503, tried=[529, 529]),
    Fault("408", status(408), tried=[408, 408]),
    Fault("401", status(401), tried=[401]),
    Fault("403", status(403), tried=[403]),
    Fault("402", status(402), tried=[402]),
    Fault("404", status(404), tried=[404]),
    Fault("a redirect", status(302, b"", "location: http://127.0.0.1/"), tried=[302]),
    Fault("no connection", wire(), tried=[0, 0], provider="closed"),
    Fault("cut before the head", wire(Do.CUT), tried=[0, 0]),
    Fault("cut in the head", wire(b"HTTP/1.1 200", Do.CUT), tried=[0, 0]),
    Fault("hangs before the head", wire(30.0), status=504, tried=[0, 0], provider="slow"),
    Fault("not HTTP", wire(b"SSH-2.0-OpenSSH_9\r\n\r\n", Do.CLOSE), tried=[0, 0]),
    Fault("two lengths", wire(JSON + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}"), tried=[0, 0]),
)
NO_JSON = (
    Fault("HTML in 200", status(200, HTML, content_type="text/html"), tried=[502, 502]),
    Fault("nothing in 200", status(200, b""), tried=[502, 502]),
    Fault("half an object", status(200, b'{"id": [1, 2'), tried=[502, 502]),
    Fault("an error in 200", status(200, {"error": {"message": "x", "code": 529}}), status=503, tried=[529, 529]),
    Fault(
        "another error in 200", status(200, {"base_resp": {"status_code": 1002, "status_msg": "x"}}), tried=[200, 200]
    ),
    Fault("cut in the body", wire(JSON + b"content-length: 50\r\n\r\n{", Do.CUT), tried=[0, 0]),
    Fault(
        "stalls in the body",
        wire(JSON + b"content-length: 50\r\n\r\n{", 30.0),
        status=504,
        tried=[0, 0],
        provider="slow",
    ),
    Fault("a bad chunk size", wire(JSON + b"transfer-encoding: chunked\r\n\r\n+5\r\n"), tried=[0, 0]),
    Fault("a chunk without its end", wire(JSON + b"transfer-encoding: chunked\r\n\r\n5\r\nhelloX"), tried=[0, 0]),
    Fault("bad gzip", as_asked("content-encoding: gzip"), tried=[0, 0]),
    Fault("brotli", as_asked("content-encoding: br"), tried=[0, 0]),
    Fault(
        "half of gzip",
        as_asked("content-encoding: gzip", changed=lambda body: gzip.compress(body)[:30]),
        tried=[502, 502],
    ),
)
NO_CONTENT = (
    Fault("a stream of nothing", streams(ends=True), tried=[502, 502]),
    Fault("an error as first event", streams(error, ends=True), tried=[500, 500]),
    Fault("an error behind the announcement", streams(announced, error, ends=True), tried=[500, 500]),
    Fault(
        "an error in one read with the announcement",
        lambda format, _: scripts.stream([b"".join([*announced(format), format.error])]),
        tried=[500, 500],
    ),
    Fault(
        "an error behind signs of life",
        streams(lambda f: [f.sign_of_life], announced, error, ends=True),
        tried=[500, 500],
    ),
    Fault("cut behind the announcement", streams(announced, then=[Do.CUT]), tried=[0, 0]),
    Fault("ends behind the announcement", streams(announced, ends=True), tried=[502, 502]),
    Fault("bad chunks behind the announcement", streams(announced, then=[b"+5\r\n"]), tried=[0, 0]),
    Fault("stalls behind the announcement", streams(announced, then=[30.0]), status=504, tried=[0, 0], provider="slow"),
    Fault("only signs of life", streams(announced, signs_of_life), status=504, tried=[0, 0], provider="slow"),
)
OVERLOADED = vendors.event({"type": "error", "error": {"type": "overloaded_error", "message": "x"}}, "error")
NO_ROOM = vendors.event({"type": "error", "error": {"type": "invalid_request_error", "message": "too long"}}, "error")
BY_TYPE = (
    Fault(
        "overloaded, in-band",
        streams(announced, lambda _: [OVERLOADED], ends=True),
        status=503,
        tried=[529, 529],
        formats=[MESSAGES],
    ),
    Fault(
        "blamed in-band",
        streams(announced, lambda _: [NO_ROOM], ends=True),
        Outcome.BLAMED,
        status=400,
        formats=[MESSAGES],
    ),
)


# -- answers all the same ----------------------------------------------------------------------------------------------


ODD = (
    Fault("gzip that nobody asked for", as_asked("content-encoding: gzip", changed=gzip.compress), Outcome.ANSWERED),
    Fault("a stream for JSON", streams(lambda f: f.stream(FIRST), ends=True), Outcome.ANSWERED, modes=PLAIN),
    Fault("JSON for a stream", lambda f, _: scripts.plain(f.answer(FIRST)), Outcome.ANSWERED, modes=STREAM),
    Fault("JSON as text", as_asked(content_type="text/plain"), Outcome.ANSWERED, modes=PLAIN),
    Fault("events as text", as_asked(content_type="text/plain"), Outcome.ANSWERED, modes=STREAM),
    Fault("events as JSON", as_asked(content_type="application/json"), Outcome.ANSWERED, modes=STREAM),
    Fault("no usage", as_asked(usage=None), Outcome.ESTIMATED),
    Fault("a byte a chunk", lambda f, _: scripts.byte_by_byte(f.stream(FIRST)), Outcome.ANSWERED, modes=STREAM),
    Fault("ended by the close", lambda f, _: scripts.until_close(f.stream(FIRST)), Outcome.ANSWERED, modes=STREAM),
)


def chat_usage_after_done(format: Format) -> list[bytes]:
    return [*format.stream(FIRST, usage=None), vendors.chat_chunk(None, usage=vendors.CHAT_USAGE)]


def chat_usage_with_the_finish(format: Format) -> list[bytes]:
    *before, _, done = format.stream(FIRST, usage=None)
    return [*before, vendors.chat_chunk({}, "stop", usage=vendors.CHAT_USAGE), done]


def chat_usage_in_the_choice(format: Format) -> list[bytes]:
    *before, _, done = format.stream(FIRST, usage=None)
    choice = {"index": 0, "delta": {}, "finish_reason": "stop", "usage": vendors.CHAT_USAGE}
    return [*before, vendors.chat_chunk(None, choices=[choice]), done]


def messages_usage_at_the_end(format: Format) -> list[bytes]:
    events = format.stream(FIRST, usage=None)
    said = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": vendors.MESSAGES_USAGE}
    return [*events[:-2], vendors.event(said, "message_delta"), events[-1]]


def messages_usage_that_grows(format: Format) -> list[bytes]:
    """As relays write it: each `message_delta` has all counts, those of the input as zeros."""
    events = format.stream(FIRST)
    zeros = {"input_tokens": 0, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}
    deltas = [
        {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {**zeros, "output_tokens": count}}
        for reason, count in ((None, 90), ("end_turn", 200))
    ]
    return [*events[:-2], *(vendors.event(delta, "message_delta") for delta in deltas), events[-1]]


def gemini_usage_behind_the_end(format: Format) -> list[bytes]:
    return [*format.stream(FIRST, usage=None), vendors.event({"usageMetadata": vendors.GEMINI_USAGE})]


USAGES = tuple(
    Fault(name, streams(events, ends=True), Outcome.ANSWERED, modes=STREAM, formats=[format])
    for name, format, events in (
        ("usage after [DONE]", CHAT, chat_usage_after_done),
        ("usage with the finish", CHAT, chat_usage_with_the_finish),
        ("usage in the choice", CHAT, chat_usage_in_the_choice),
        ("usage at the end only", MESSAGES, messages_usage_at_the_end),
        ("usage that grows", MESSAGES, messages_usage_that_grows),
        ("usage behind the end", GEMINI, gemini_usage_behind_the_end),
    )
)
ZEROS = {
    CHAT.name: {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
    MESSAGES.name: {"input_tokens": 0, "output_tokens": 0},
    RESPONSES.name: {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0},
    GEMINI.name: {"promptTokenCount": 0, "candidatesTokenCount": 0, "totalTokenCount": 0},
}
BAD_USAGES = tuple(
    Fault(name, as_asked(usage=usage), Outcome.ESTIMATED, formats=[format])
    for format in FORMATS
    for name, usage in (
        ("usage of zeros", ZEROS[format.name]),
        ("usage below zero", dict.fromkeys(ZEROS[format.name], -5)),
        ("usage of text", dict.fromkeys(ZEROS[format.name], "many")),
    )
)


# -- failures in the midst of it ---------------------------------------------------------------------------------------

LATER = 0.4
"""Seconds: what came before has gone out by then."""
IN_THE_MIDST = (
    *(
        Fault(
            name,
            streams(content, *events, then=[LATER, *then]),
            Outcome.BROKEN,
            status,
            modes=STREAM,
            provider=provider,
        )
        for name, events, then, status, provider in (
            ("bad chunks in mid-stream", (), [b"+5\r\n"], 502, "first"),
            ("an end in mid-stream", (), [b"0\r\n\r\n"], 502, "first"),
            ("half an event, then cut", (), [chunk(b'event: x\ndata: {"a'), Do.CUT], 502, "first"),
            ("stalls in mid-stream", (), [30.0], 504, "slow"),
            ("signs of life in mid-stream", (signs_of_life,), [], 504, "slow"),
        )
    ),
    *(
        Fault(
            f"an error in mid-stream, then {name}",
            streams(content, error_later, then=then),
            Outcome.FAILED,
            modes=STREAM,
            formats=formats,
            xfail=xfail,
        )
        for name, then, formats, xfail in (
            ("cut", [Do.CUT], FORMATS, ""),
            ("the end", [b"0\r\n\r\n"], [CHAT, MESSAGES, GEMINI], ""),
            (
                "the end",
                [b"0\r\n\r\n"],
                [RESPONSES],
                "",
            ),
        )
    ),
)
FOLDED = (
    Fault(
        "a stream for JSON, cut in its midst",
        streams(content, then=[LATER, Do.CUT]),
        tried=[0, 0],
        modes=PLAIN,
    ),
)


def cuts() -> Iterator[Fault]:
    """Every stream cut after each of its events."""
    for format in FORMATS:
        events = format.events()
        for count in range(len(events)):
            if count <= format.announcements:
                outcome: dict[str, Any] = {"tried": [0, 0]}
            else:
                tells_usage = any(b"oken" in event for event in events[format.announcements : count])
                outcome = {"outcome": Outcome.BROKEN, "is_estimated": not tells_usage or format is GEMINI}
            yield Fault(
                f"cut after {count} events",
                streams(said(count), then=[Do.CUT]),
                modes=STREAM,
                formats=[format],
                **outcome,
            )
        yield Fault(
            "cut after its last event",
            streams(said(99), then=[Do.CUT]),
            Outcome.ANSWERED,
            modes=STREAM,
            formats=[format],
        )


# -- the caller's own --------------------------------------------------------------------------------------------------

BLAMES = tuple(
    Fault(f"blamed with {code}", status(code, {"error": {"message": "bad 'x'"}}), Outcome.BLAMED, status=told)
    for code, told in ((400, 400), (422, 400), (413, 413))
)
FAULTS: Sequence[Fault] = (
    *NO_ANSWER,
    *NO_JSON,
    *NO_CONTENT,
    *BY_TYPE,
    *ODD,
    *USAGES,
    *BAD_USAGES,
    *IN_THE_MIDST,
    *FOLDED,
    *cuts(),
    *BLAMES,
)


@dataclass(frozen=True)
class Case:
    """One call: FAULT at the first of one or two targets of a model that no other case has."""

    fault: Fault
    format: Format
    is_stream: bool
    has_second: bool

    @property
    def name(self) -> str:
        """For people, and for the model."""
        mode, targets = ("plain", "stream")[self.is_stream], ("one", "two")[self.has_second]
        return f"{self.fault.name}-{self.format.name}-{mode}-{targets}"

    @property
    def model(self) -> str:
        return "".join(letter if letter.isalnum() else "-" for letter in self.name)

    @property
    def targets(self) -> list[str]:
        first = f"{self.fault.provider}:{self.model}-1"
        return [first, f"second:{self.model}-2"] if self.has_second else [first]


CASES: Sequence[Case] = [
    Case(fault, format, is_stream, has_second)
    for fault in FAULTS
    for format in fault.formats
    for is_stream in fault.modes
    for has_second in (False, True)
]
