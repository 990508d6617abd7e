"""What a vendor's answers come to, in our own words."""

from collections.abc import Mapping
from enum import StrEnum

import msgspec


class FaultKind(StrEnum):
    """Whose fault it is, and so what helps."""

    CALLER = "caller"
    """The request is wrong: the same at every vendor, never tried again."""
    MODERATED = "moderated"
    """The vendor's rules forbid it."""
    CREDENTIAL = "credential"
    """Our key is refused: the next key, or the next target."""
    BALANCE = "balance"
    """Our account there has no money or no quota left: the next target."""
    RATE = "rate"
    """Too much at once: later, or the next target."""
    VENDOR = "vendor"
    """It broke there: the next target."""
    LOST = "lost"
    """The vendor knows no such task, or no longer."""
    CANCELLED = "cancelled"
    """It was stopped as we asked, or by somebody at the vendor's."""


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong."""

    kind: FaultKind
    message: str
    """For the caller: the vendor's words where the fault is the caller's, else ours, which tell nothing of us."""
    detail: str = ""
    """The vendor's words, bounded, for the log."""
    code: str = ""
    """The vendor's code."""
    retry_after_s: float | None = None


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a transcript."""

    start_s: float
    end_s: float
    text: str
    speaker: str | None = None


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was made: an address, bytes, or text."""

    url: str = ""
    """As the vendor gave it: nothing that we chose, to be fetched like a caller's."""
    body: bytes = b""
    text: str = ""
    segments: tuple[Segment, ...] = ()
    language: str | None = None
    content_type: str = ""
    """As the vendor says, where it does; '' where only the bytes tell."""
    needs_credential: bool = False
    """`url` may be a path, and is asked for as `Driver.fetch` says; its redirects are followed without credential."""
    lifetime_s: int | None = None
    """How long the vendor keeps it."""
    revised_prompt: str | None = None


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the vendor counted, where it tells."""

    images: int | None = None
    duration_ms: int | None = None
    """Of the video or audio."""
    characters: int | None = None
    tokens: int | None = None


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a task at a vendor, whole, so that anybody can go on with it."""

    route: str
    """The `Route` that it was begun on."""
    id: str
    poll: str
    """Where it is asked for: a path below the provider's address, or a URL."""
    cancel: str = ""
    result: str = ""
    """Where what was made is asked for, where that is another place."""
    is_done: bool = False
    """It is made, and `poll` now asks for the result."""


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """It is begun. Also comes from a poll, where there is one more thing to ask for: go on with this task instead."""

    task: Task
    poll_after_s: float


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """Not done yet."""

    is_queued: bool
    progress: float | None = None
    """0 to 1."""
    poll_after_s: float
    unknown_state: str = ""
    """A state that is in no table, taken for running; worth a line in the log."""


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """It is made: at least one output."""

    outputs: tuple[Output, ...]
    facts: Facts = Facts()


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """It is not made, and never will be by this request: the vendor said so."""

    fault: Fault


class Unclear(msgspec.Struct, frozen=True, kw_only=True):
    """This exchange told nothing: of a poll, the task goes on, ask again; of a submit, it may have begun."""

    fault: Fault


Outcome = Accepted | Running | Finished | Failed | Unclear


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A vendor's answer as it came."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    url: str
    """What was asked: what it points to at the same place may have the credential too."""


class Pushed(msgspec.Struct, frozen=True, kw_only=True):
    """What a vendor's call to us comes to. It is only a hint: ask the vendor."""

    task_id: str
    """'' where it concerns none."""
    is_signed: bool
    """The vendor's signature was there and is good."""
    reply: bytes = b""
    """What it wants to hear."""
