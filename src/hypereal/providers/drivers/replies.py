"""How answers are read, as tables: those that bring what was made (`Direct`) and those of tasks (`Tasks`)."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

import msgspec

from hypereal.providers.drivers import paths
from hypereal.providers.drivers.encoding import bytes_of
from hypereal.providers.drivers.errors import Errors, decode, fault, fault_of, garbled, is_error, refused
from hypereal.providers.drivers.outcome import (
    Accepted,
    Answer,
    Facts,
    Failed,
    Fault,
    FaultKind,
    Finished,
    Outcome,
    Output,
    Running,
    Task,
    Unclear,
)
from hypereal.providers.drivers.requests import is_trusted, path_of, segment
from hypereal.providers.drivers.work import Work

OUTPUTS_MAX = 16
ID_CHARACTERS_MAX = 500
URL_CHARACTERS_MAX = 2000
POLL_AFTER_S = 5.0


class State(StrEnum):
    """What a vendor's name of a state means."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    MODERATED = "moderated"
    LOST = "lost"
    CANCELLED = "cancelled"


Place = str | Callable[[Work], str]
"""A template of a path below the provider's address."""

_FAULTS: Mapping[State, FaultKind] = {
    State.MODERATED: FaultKind.MODERATED,
    State.LOST: FaultKind.LOST,
    State.CANCELLED: FaultKind.CANCELLED,
}


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for every answer on a route."""

    route: str
    errors: Errors
    hosts: tuple[str, ...]


class Outputs(msgspec.Struct, frozen=True, kw_only=True):
    """Where in an answer the outputs are. All but `items` and `facts` are paths within one item; '' is the item."""

    items: tuple[str, ...]
    """The first that leads anywhere."""
    url: str | None = None
    place: str = ""
    """Where `url` leads to no address but to an id, the place of what has it: '/videos/{id}/content'."""
    base64: str | None = None
    content_type: str | None = None
    revised_prompt: str | None = None
    allowed: str | None = None
    """Where it holds false, the item was taken back by the vendor's rules."""
    type: str = ""
    """Content type of all."""
    lifetime_s: int | None = None
    needs_credential: bool = False
    blocked: tuple[str, ...] = ()
    """Paths in the answer; where there is no output but something here, the vendor's rules took it."""
    facts: Mapping[str, tuple[str, ...]] = {}
    """Field of `Facts` -> paths. `duration_ms`: to seconds."""

    def read(self, errors: Errors, answer: Answer, said: Any) -> Finished | Failed:
        """What SAID brings: what there is of it."""
        items = next((found for path in self.items if (found := paths.every(said, path))), [])
        allowed = [item for item in items if self.allowed is None or paths.first(item, self.allowed) is not False]
        outputs = [output for item in allowed if (output := self._output(item)) is not None]
        if outputs:
            return Finished(outputs=tuple(outputs[:OUTPUTS_MAX]), facts=self._facts(said))
        why = paths.first(said, *self.blocked)
        if len(allowed) < len(items) or why:
            return Failed(fault=fault(FaultKind.MODERATED, why if isinstance(why, str) else ""))
        told = fault_of(errors, answer, said)
        if told.code or told.detail:
            return Failed(fault=told)
        return Failed(fault=fault(FaultKind.VENDOR, "finished without output"))

    def _output(self, item: Any) -> Output | None:
        url = "" if self.url is None else paths.text(item, self.url)
        packed = "" if self.base64 is None else paths.text(item, self.base64)
        if url.startswith("data:"):
            url, packed = "", url
        if url and self.place:
            url = filled(self.place, {"id": url})
        body = bytes_of(packed) if packed else None
        if not url and body is None:
            return None
        return Output(
            url="" if body else url,
            body=body or b"",
            content_type=self.type or ("" if self.content_type is None else paths.text(item, self.content_type)),
            needs_credential=self.needs_credential,
            lifetime_s=self.lifetime_s,
            revised_prompt=None if self.revised_prompt is None else paths.text(item, self.revised_prompt) or None,
        )

    def _facts(self, said: Any) -> Facts:
        return facts({name: paths.number(said, *places) for name, places in self.facts.items()})


def facts(found: Mapping[str, float | None]) -> Facts:
    """Facts of what was FOUND: `duration_ms` in seconds, None where it is not told."""
    scaled = {
        name: round(value * (1000 if name == "duration_ms" else 1))
        for name, value in found.items()
        if value is not None and value >= 0
    }
    return Facts(**scaled)


class Direct(msgspec.Struct, frozen=True, kw_only=True):
    """What was made is in the answer."""

    outputs: Outputs | None = None
    is_body: bool = False
    """The whole body is the output, as it comes: sound."""
    read: Callable[[Answer, Any], Finished | Failed | None] | None = None
    """What the table cannot say: asked first, of answers that are no error. None: let the table read."""
    verdicts: frozenset[int] = frozenset()
    """Where it is what a task came to: the statuses of errors that are the task's own, if the vendor wrote them."""

    def opens(self, head: Answer) -> str | None:
        """See `Driver.opens`."""
        content_type = head.headers.get("content-type", "").partition(";")[0].strip().lower()
        is_file = content_type.startswith(("audio/", "video/", "image/")) or content_type == "application/octet-stream"
        return content_type if self.is_body and head.status == 200 and is_file else None

    def read_submit(self, terms: Terms, work: Work, answer: Answer) -> Outcome:
        """See `Driver.read_submit`."""
        content_type = self.opens(answer)
        if content_type is not None and answer.body:
            return Finished(outputs=(Output(body=answer.body, content_type=content_type),))
        said = decode(answer)
        if is_error(terms.errors, answer, said):
            return refused(terms.errors, answer, said)
        return self._brought(terms, answer, said)

    def read_poll(self, terms: Terms, task: Task, answer: Answer) -> Outcome:
        """What an ANSWER with the result of TASK comes to."""
        said = decode(answer)
        if is_error(terms.errors, answer, said):
            told = _not_told(terms.errors, answer, said)
            is_own = answer.status in self.verdicts and isinstance(said, dict)
            return Failed(fault=told.fault) if is_own else told
        return self._brought(terms, answer, said)

    def _brought(self, terms: Terms, answer: Answer, said: Any) -> Outcome:
        if not isinstance(said, dict | list):
            return garbled(answer)
        found = None if self.read is None else self.read(answer, said)
        if found is not None:
            return found
        return garbled(answer) if self.outputs is None else self.outputs.read(terms.errors, answer, said)


class Tasks(msgspec.Struct, frozen=True, kw_only=True):
    """The answer names a task, which is asked for until it is done. `{id}` in a place is the task's, `{+id}` as well,
    where that is a path."""

    id: tuple[str, ...]
    poll: Place
    """Where a task is asked for;"""
    poll_at: str = ""
    """or the path at which the answer says so: believed where that is a place of the vendor's."""
    cancel: Place = ""
    """Method and place."""
    cancel_names_it: bool = False
    """Its body is `{"id": …}`."""
    cancel_at: str = ""
    state: tuple[str, ...]
    states: Mapping[str, State]
    outputs: Outputs
    progress: tuple[str, ...] = ()
    progress_max: float = 100.0
    first_poll_s: float = POLL_AFTER_S
    poll_s: float = POLL_AFTER_S
    result: Place = ""
    """Where what was made is asked for, once it is done; `{name}`: what is at the path that `names` gives."""
    result_at: str = ""
    names: Mapping[str, str] = {}
    then: Direct | None = None
    """How the answer from there is read. None: the poll itself brings it."""
    read: Callable[[Answer, Any], Outcome | None] | None = None
    """What the tables cannot say: asked first, of answers to polls that are JSON. None: let the tables read."""

    def read_submit(self, terms: Terms, work: Work, answer: Answer) -> Outcome:
        """See `Driver.read_submit`."""
        said = decode(answer)
        if is_error(terms.errors, answer, said):
            return refused(terms.errors, answer, said)
        task_id = paths.text(said, *self.id)
        if not task_id or len(task_id) > ID_CHARACTERS_MAX:
            return garbled(answer)
        task = self._task(terms, work, answer, said, task_id)
        if self.states.get(paths.text(said, *self.state)) in (None, State.QUEUED, State.RUNNING):
            return Accepted(task=task, poll_after_s=self.first_poll_s)
        return self.read_poll(terms, task, answer)

    def task(self, route: str, work: Work, task_id: str) -> Task:
        """The task TASK_ID of WORK, by the tables alone."""
        places = (self.poll, self.cancel, "" if self.names else self.result)
        poll, cancel, result = (
            filled(place if isinstance(place, str) else place(work), {"id": task_id}) for place in places
        )
        return Task(route=route, id=task_id, poll=poll, cancel=cancel, result=result)

    def read_poll(self, terms: Terms, task: Task, answer: Answer) -> Outcome:
        """See `Driver.read_poll`."""
        if task.is_done and self.then is not None:
            return self.then.read_poll(terms, task, answer)
        said = decode(answer)
        found = self.read(answer, said) if self.read is not None and isinstance(said, dict) else None
        if found is not None:
            return found
        name = paths.text(said, *self.state)
        state = self.states.get(name)
        is_final = state not in (None, State.QUEUED, State.RUNNING)
        if not is_final and is_error(terms.errors, answer, said):
            return _not_told(terms.errors, answer, said)
        if state is State.DONE:
            return self._done(terms, task, answer, said)
        if is_final and state is not None:
            return Failed(fault=self._why(terms.errors, state, answer, said))
        if not name and answer.status != 202:
            return garbled(answer)
        return self._running(state, name, said)

    def _running(self, state: State | None, name: str, said: Any) -> Running:
        progress = paths.number(said, *self.progress) if self.progress else None
        return Running(
            is_queued=state is State.QUEUED,
            progress=None if progress is None else min(max(progress / self.progress_max, 0.0), 1.0),
            poll_after_s=self.poll_s,
            unknown_state="" if state is not None else name[:100],
        )

    def _done(self, terms: Terms, task: Task, answer: Answer, said: Any) -> Outcome:
        if self.then is None:
            return self.outputs.read(terms.errors, answer, said)
        values = {name: paths.text(said, path) for name, path in self.names.items()}
        if not all(0 < len(value) <= ID_CHARACTERS_MAX for value in values.values()):
            return Failed(fault=fault(FaultKind.VENDOR, "finished without output"))
        place = task.result or filled(str(self.result), {"id": task.id, **values})
        return Accepted(task=msgspec.structs.replace(task, poll=place, is_done=True), poll_after_s=0.0)

    def _why(self, errors: Errors, state: State, answer: Answer, said: Any) -> Fault:
        told = fault_of(errors, answer, said)
        kind = _FAULTS.get(state)
        return told if kind is None else fault(kind, told.detail, told.code)

    def _task(self, terms: Terms, work: Work, answer: Answer, said: Any, task_id: str) -> Task:
        by_table = self.task(terms.route, work, task_id)

        def told(path: str, instead: str) -> str:
            url = paths.text(said, path) if path else ""
            return (
                url if url and len(url) <= URL_CHARACTERS_MAX and is_trusted(url, answer.url, terms.hosts) else instead
            )

        method, _, cancel = by_table.cancel.partition(" ")
        return msgspec.structs.replace(
            by_table,
            poll=told(self.poll_at, by_table.poll),
            cancel=f"{method} {told(self.cancel_at, cancel)}" if method else "",
            result=told(self.result_at, by_table.result),
        )


def filled(place: str, values: Mapping[str, str]) -> str:
    """PLACE with VALUES, none of which can lead out of its place: `{name}` is one segment, `{+name}` a path."""
    for name, value in values.items():
        place = place.replace(f"{{{name}}}", segment(value)).replace(f"{{+{name}}}", path_of(value))
    return place


def _not_told(errors: Errors, answer: Answer, said: Any) -> Failed | Unclear:
    """What a poll that was answered with an error comes to: only where the vendor says that there is no such task, or
    that its rules forbid it, is that the end of the task."""
    told = fault_of(errors, answer, said)
    is_end = told.kind in (FaultKind.LOST, FaultKind.MODERATED)
    return Failed(fault=told) if is_end else Unclear(fault=told)
