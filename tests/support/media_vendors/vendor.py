"""The server that plays a vendor by its `Wire`."""

import itertools
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from tests.support import upstream
from tests.support.background import Background
from tests.support.media_vendors import wires
from tests.support.media_vendors.vendor_files import MP3, MP4, PNG
from tests.support.media_vendors.wire import Asked, Reply, State, Task, Wire
from tests.support.upstream import Do, Recorded, Script, Upstream

KEY = "vendor-key-1"
REQUESTS_KEPT = 50_000
BREAKS = ("html", "garbage", "cut", "no_answer", "bare_500", "bare_502", "empty")
"""Besides the faults of a wire: a page of a proxy, half a JSON, a connection cut before or (`no_answer`) after the
request had its effect, an empty JSON object."""


_FILES = {"png": ("image/png", PNG), "mp4": ("video/mp4", MP4), "mp3": ("audio/mpeg", MP3)}


def _scan() -> Mapping[str, Wire]:
    names = sorted(module.name for module in iter_modules([str(Path(__file__).parent / "wires")]))
    return {name: import_module(f"{wires.__name__}.{name}").WIRE for name in names}


WIRES = _scan()
Fit = tuple[str, str, Any, re.Match[str]]


class MediaVendor(Upstream):
    """One vendor. See the package's docstring."""

    def __init__(self, background: Background, name: str, port: int = 0) -> None:
        self.wire = WIRES[name]
        self.key = KEY
        self.usual: list[State] = ["done"]
        """The states of a task without a plan."""
        self.tasks: list[Task] = []
        self.files: dict[str, tuple[str, bytes]] = {}
        self._plans: deque[list[State]] = deque()
        self._breaks: dict[str, deque[str]] = {}
        self._numbers = itertools.count(1)
        super().__init__(background, port, answers=self._play)

    @property
    def environ(self) -> dict[str, str]:
        """What makes a server use it: the address and a key, for the provider of the vendor's name."""
        name = self.wire.name.upper()
        keys = {"google": "GEMINI_API_KEY", "fal": "FAL_KEY", "replicate": "REPLICATE_API_TOKEN"}
        return {f"{name}_BASE_URL": self.url + self.prefix, keys.get(self.wire.name, f"{name}_API_KEY"): self.key}

    @property
    def prefix(self) -> str:
        """The path of the vendor's own base URL, where it has one."""
        return {"openai": "/v1", "xai": "/v1", "toapis": "/v1", "replicate": "/v1", "ark": "/api/v3"}.get(
            self.wire.name, ""
        )

    def plan(self, states: Sequence[State]) -> None:
        """What the next task without a plan will say, one a poll; the last for ever."""
        self._plans.append(list(states))

    def break_next(self, where: str, *how: str) -> None:
        """The next requests to WHERE (submit, poll, result, cancel, file) fail so, one each."""
        self._breaks.setdefault(where, deque()).extend(how)

    def task(self, task_id: str) -> Task | None:
        """The task of this id."""
        return next((task for task in self.tasks if task.id == task_id), None)

    def reset(self) -> None:
        """As new."""
        super().reset()
        self.usual, self.tasks, self.files = ["done"], [], {}
        self._plans.clear()
        self._breaks.clear()

    def _record(self, recorded: Recorded) -> None:
        with self._lock:
            if len(self.requests) >= REQUESTS_KEPT:
                del self.requests[: REQUESTS_KEPT // 2]
        super()._record(recorded)

    # -- the wire's side -------------------------------------------------------------------------------------------

    def _play(self, recorded: Recorded) -> Script:
        path = recorded.path.partition("?")[0]
        if path.startswith("/files/"):
            return self._file(path)
        fit = self._fit(recorded.head.split(b" ", 1)[0].decode(), path)
        if fit is None:
            return upstream.plain({"error": f"no route {path}"}, 404)
        where, _, answer, found = fit
        how = self._broken(where)
        header, prefix = self.wire.credential
        if recorded.get(header) != prefix + self.key:
            return _script(self.wire.faults["credential"])
        if how in self.wire.faults:
            return _script(self.wire.faults[how])
        if how.startswith("ok:"):
            return _script(self.wire.within_ok[how.removeprefix("ok:")])
        if how and how != "no_answer":
            return _break(how)
        script = self._answer(where, answer, Asked(recorded, self.url, self.url + self.prefix, found))
        return [Do.CUT] if how == "no_answer" else script

    def _fit(self, method: str, path: str) -> Fit | None:
        tables: Mapping[str, Mapping[str, Any]] = {
            "cancel": self.wire.cancels,
            "result": self.wire.results,
            "poll": self.wire.polls,
            "direct": self.wire.directs,
            "submit": self.wire.submits,
        }
        for where, table in tables.items():
            for pattern, answer in table.items():
                verb, _, wanted = pattern.partition(" ")
                found = re.fullmatch(re.escape(self.prefix) + wanted, path) if verb == method else None
                if found:
                    return "submit" if where == "direct" else where, pattern, answer, found
        return None

    def _broken(self, where: str) -> str:
        waiting = self._breaks.get(where)
        return waiting.popleft() if waiting else ""

    def _answer(self, where: str, answer: Callable[..., Any], asked: Asked) -> Script:
        if where == "submit":
            said = answer(asked)
            if isinstance(said, str):
                return _script(self._begin(asked) if not said else _worded(self.wire.faults["caller"], said))
            return _script(said)
        task = self.task(asked.found.groupdict().get("id") or asked.query.get("task_id") or asked.query.get("id") or "")
        if where == "result" and task is None:
            task = self.task((asked.query.get("file_id") or "").removeprefix("file-"))
        if task is None:
            return _script(self.wire.lost)
        if where == "poll":
            task.step()
        if where == "cancel":
            task.is_cancelled = True
        return _script(answer(task))

    def _begin(self, asked: Asked) -> Reply:
        states = self._plans.popleft() if self._plans else list(self.usual)
        task = Task(id=f"task-{next(self._numbers)}", asked=asked, states=states)
        self.tasks.append(task)
        return self.wire.accepted(task)

    def _file(self, path: str) -> Script:
        how = self._broken("file")
        if how:
            return _break(how)
        ending = path.rpartition(".")[2]
        content_type, body = self.files.get(path) or _FILES.get(ending, ("application/octet-stream", b""))
        return upstream.plain(body, 200, content_type=content_type)


def _script(reply: Reply) -> Script:
    status, body, fields = reply
    content_type = "application/json"
    if isinstance(body, tuple):
        content_type, body = body
        return upstream.plain(body, status, *fields, content_type=content_type)
    return upstream.plain(body, status, *fields)


def _worded(reply: Reply, words: str) -> Reply:
    return reply[0], reply[1], (*reply[2], f"x-why: {words}")


def _break(how: str) -> Script:
    match how:
        case "html":
            return upstream.plain(b"<html><body>503 busy</body></html>", 503, content_type="text/html")
        case "garbage":
            return upstream.plain(b'{"id": "task-1", "sta', 200)
        case "bare_500":
            return upstream.plain(b"", 500, content_type="text/plain")
        case "bare_502":
            return upstream.plain(b"bad gateway", 502, content_type="text/plain")
        case "empty":
            return upstream.plain({})
        case "cut":
            return [Do.CUT]
    raise ValueError(how)
