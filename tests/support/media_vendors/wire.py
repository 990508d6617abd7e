"""What a scripted vendor's file in `wires/` gives: `WIRE`, its documented wire, written from the vendor's documents and
not from our driver."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesParser
from typing import Any
from urllib.parse import parse_qs

from tests.support.upstream import Recorded

Reply = tuple[int, Any, tuple[str, ...]]
"""Status, body (bytes, or what becomes JSON), lines of the head."""
State = str | tuple[str, float]
"""queued, running (with a progress), done, failed, moderated, lost, cancelled; and 'odd': a state that nobody
documents; 'mute': the answer without its state; 'empty': done, and nothing made."""
RETRY_AFTER_S = 7
WORDS = "words of the vendor"


@dataclass
class Asked:
    """A request as it came, and where it fits the wire."""

    recorded: Recorded
    origin: str
    """The server's address."""
    base: str
    """With the path that all its calls have."""
    found: re.Match[str]

    @property
    def json(self) -> Any:
        return json.loads(self.recorded.body or b"{}")

    @property
    def query(self) -> Mapping[str, str]:
        return {name: values[-1] for name, values in parse_qs(self.recorded.path.partition("?")[2]).items()}

    @property
    def form(self) -> Mapping[str, list[bytes]]:
        """The fields of a form, files as their bytes."""
        head = f"content-type: {self.recorded.get('content-type')}\r\n\r\n".encode()
        parts: list[Message] = BytesParser().parsebytes(head + self.recorded.body).get_payload()  # type: ignore[assignment]
        fields: dict[str, list[bytes]] = {}
        for part in parts:
            name = str(part.get_param("name", header="content-disposition"))
            fields.setdefault(name, []).append(part.get_payload(decode=True))  # type: ignore[arg-type]
        return fields


@dataclass
class Task:
    """One task at the vendor."""

    id: str
    asked: Asked
    states: list[State]
    """What it will say, one a poll; the last for ever."""
    polls: int = 0
    is_cancelled: bool = False
    state: str = "queued"
    progress: float | None = None

    def step(self) -> None:
        """Come to the next state."""
        if self.is_cancelled:
            self.state = "cancelled"
            return
        said = self.states[min(self.polls, len(self.states) - 1)]
        self.state, self.progress = said if isinstance(said, tuple) else (said, None)
        self.polls += 1

    def url(self, ending: str) -> str:
        """Where what was made lies."""
        return f"{self.asked.origin}/files/{self.id}.{ending}"


Answers = Callable[[Task], Reply]


@dataclass
class Wire:
    """A vendor's wire. Paths are patterns of whole paths, without the query; a group `id` names the task."""

    name: str
    credential: tuple[str, str]
    """Header and what stands before the key."""
    faults: Mapping[str, Reply]
    """caller, moderated, credential, balance, rate, vendor -> how it says so to a submit."""
    submits: Mapping[str, Callable[[Asked], str]] = field(default_factory=dict)
    """'POST /path' -> what is wrong with the request, '' for nothing. It begins a task."""
    directs: Mapping[str, Callable[[Asked], Reply]] = field(default_factory=dict)
    """'POST /path' -> the whole answer."""
    accepted: Answers = lambda task: (200, {"id": task.id}, ())
    polls: Mapping[str, Answers] = field(default_factory=dict)
    """'GET /path' -> how it goes."""
    results: Mapping[str, Answers] = field(default_factory=dict)
    """'GET /path' -> what is asked for once it is done."""
    cancels: Mapping[str, Answers] = field(default_factory=dict)
    within_ok: Mapping[str, Reply] = field(default_factory=dict)
    """Faults of a submit that this vendor also tells with status 200."""
    lost: Reply = (404, {}, ())
    """What it says of a task that it does not know."""


def ok(body: Any, *fields: str) -> Reply:
    """An answer of status 200."""
    return 200, body, fields


def lacks(asked: Asked, *members: str) -> str:
    """What is wrong with a request of JSON that needs MEMBERS."""
    missing = [name for name in members if not asked.json.get(name)]
    return f"missing {missing[0]}" if missing else ""
