"""The seam to the vendors of media. A driver asks and answers nothing itself: it makes requests of our words (`Work`)
and our words (`Outcome`) of answers; who sends them is its caller.

    request = driver.submit(work)        -> driver.sign(provider, request) -> sent by the caller
    driver.read_submit(work, answer)     -> Accepted | Finished | Failed | Unclear
    request = driver.poll(task)          -> signed and sent, again and again until
    driver.read_poll(task, answer)       -> Finished | Failed, else Running | Unclear | Accepted (go on with its task)

A vendor is one file of `vendors/`: a `Driver`, which is a table of `Route`s. What is in no table is code there.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum

import msgspec

from hypereal.kit import log
from hypereal.providers.drivers.callbacks import Callback
from hypereal.providers.drivers.errors import Errors, decode, fault, is_error
from hypereal.providers.drivers.outcome import (
    Answer,
    Failed,
    FaultKind,
    Finished,
    Outcome,
    Output,
    Running,
    Task,
)
from hypereal.providers.drivers.replies import Direct, Tasks, Terms
from hypereal.providers.drivers.requests import Request, Signed, is_trusted, is_whole, post, signed
from hypereal.providers.drivers.work import Kind, Work
from hypereal.providers.provider import Auth, Provider


class Takes(StrEnum):
    """How a vendor wants the files of a work."""

    ANY = "any"
    URL = "url"
    """Addresses only: what is given as bytes has to be put where it can be fetched."""
    BODY = "body"
    """Bytes only: what is given as an address has to be fetched."""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What people want to know of a route."""

    states: Mapping[str, str] = {}
    """The vendor's names of states, and what they mean."""
    can_cancel: bool = False
    lifetime_s: int | None = None
    """How long the vendor keeps what it made."""


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One way to have something made: which requests it is for, how it is asked for, how the answers are read."""

    name: str
    """Kept in tasks."""
    kinds: frozenset[Kind]
    build: Callable[[Work], Request]
    reply: Direct | Tasks
    models: tuple[str, ...] = ("",)
    """What the model's id may begin with. The first route that fits is taken."""
    extras: frozenset[str] = frozenset()
    """Members of a caller's that go on to the vendor: nothing that its price depends on."""
    takes: Takes = Takes.ANY
    is_batch: bool = False
    """It makes `n` at once; otherwise it makes one, and is asked n times."""
    is_idempotent: bool = False
    """A submit with the same `Work.key` begins nothing twice, so it may be sent again."""
    recover: Callable[[Work], Task] | None = None
    """The task of a submit whose answer was lost, by `Work.key`: where polling it comes to LOST, nothing was begun."""
    forgets: bool = False
    """Cancelling deletes the task there: afterwards the vendor knows it no more."""

    @property
    def is_direct(self) -> bool:
        """What was made is in the answer to the submit."""
        return isinstance(self.reply, Direct)

    @property
    def summary(self) -> Summary:
        """What its tables say of its tasks."""
        if isinstance(self.reply, Direct):
            return Summary(lifetime_s=None if self.reply.outputs is None else self.reply.outputs.lifetime_s)
        made = self.reply.outputs if self.reply.then is None else self.reply.then.outputs
        return Summary(
            states=self.reply.states,
            can_cancel=bool(self.reply.cancel),
            lifetime_s=None if made is None else made.lifetime_s,
        )


class Driver(msgspec.Struct, frozen=True, kw_only=True):
    """How a vendor is spoken to."""

    name: str
    auth: Auth
    """How a key travels."""
    routes: tuple[Route, ...]
    errors: Errors = Errors()
    hosts: tuple[str, ...] = ()
    """Names, and '.endings' of names, that may have the credential besides the provider's own address."""
    headers: Mapping[str, str] = {}
    """With every request."""
    callback: Callback | None = None

    @property
    def kinds(self) -> frozenset[Kind]:
        """What can be made there, by one model or another."""
        return frozenset().union(*(route.kinds for route in self.routes))

    def route(self, work: Work) -> Route | None:
        """The route of WORK; None where this vendor has none for it."""
        fits = (one for one in self.routes if work.kind in one.kinds and work.model.startswith(one.models))
        return next(fits, None)

    def submit(self, work: Work) -> Request:
        """The request that begins WORK. Raises ValueError, with words for the caller, where it cannot be asked for."""
        route = self._route(work)
        extra = {name: value for name, value in work.extra.items() if name in route.extras}
        return route.build(msgspec.structs.replace(work, extra=extra))

    def opens(self, work: Work, head: Answer) -> str | None:
        """The content type of what HEAD, an answer without its body, brings as it comes: the body is the one output.

        None: read the whole body, and `read_submit` it.
        """
        reply = self._route(work).reply
        return reply.opens(head) if isinstance(reply, Direct) else None

    def read_submit(self, work: Work, answer: Answer) -> Outcome:
        """What the ANSWER to a submit comes to: anything but Running."""
        route = self._route(work)
        return self._guarded(route.reply.read_submit(self._terms(route), work, answer), answer)

    def recover(self, work: Work) -> Task | None:
        """The task to poll where the answer to a submit of WORK was lost, and the vendor can be asked for it."""
        recover = self._route(work).recover
        return None if recover is None else recover(work)

    def poll(self, task: Task) -> Request:
        """The request that asks how TASK goes."""
        return Request(method="GET", url=task.poll)

    def read_poll(self, task: Task, answer: Answer) -> Outcome:
        """What the ANSWER to a poll comes to."""
        route = self._route_of(task)
        if route is None:
            return Failed(fault=fault(FaultKind.LOST, f"there is no route {task.route!r} any more"))
        return self._guarded(route.reply.read_poll(self._terms(route), task, answer), answer)

    def cancel(self, task: Task) -> Request | None:
        """The request that stops TASK, if the vendor can. Best effort: whatever it answers, go on polling."""
        if not task.cancel:
            return None
        method, _, url = task.cancel.partition(" ")
        route = self._route_of(task)
        is_named = route is not None and isinstance(route.reply, Tasks) and route.reply.cancel_names_it
        return post(url, {"id": task.id}) if is_named else Request(method=method, url=url)

    def read_cancel(self, task: Task, answer: Answer) -> bool:
        """Whether the vendor says that TASK is stopped."""
        return not is_error(self.errors, answer, decode(answer))

    def sign(self, provider: Provider, request: Request, *, at_unix_s: float, key_number: int = 0) -> Signed:
        """REQUEST with PROVIDER's address, headers and credential, ready to be sent.

        Raises ValueError where its URL is at a host that is not the vendor's: the credential goes nowhere else.
        """
        request = msgspec.structs.replace(request, headers={**self.headers, **request.headers})
        return signed(provider, self.auth, self.hosts, request, at_unix_s=at_unix_s, key_number=key_number)

    def fetch(self, output: Output) -> Request:
        """The request for what is at OUTPUT's address, to be signed only where it `needs_credential`."""
        return Request(method="GET", url=output.url)

    def _guarded(self, outcome: Outcome, answer: Answer) -> Outcome:
        """OUTCOME, with nothing asked for by credential that is not at the vendor's."""
        if isinstance(outcome, Running) and outcome.unknown_state:
            log.get("providers").warning("unknown state", driver=self.name, state=outcome.unknown_state)
        if not isinstance(outcome, Finished):
            return outcome

        def is_good(output: Output) -> bool:
            return not output.needs_credential or not is_whole(output.url) or self._is_own(output.url, answer)

        outputs = (
            one if is_good(one) else msgspec.structs.replace(one, needs_credential=False) for one in outcome.outputs
        )
        return msgspec.structs.replace(outcome, outputs=tuple(outputs))

    def _is_own(self, url: str, answer: Answer) -> bool:
        return is_trusted(url, answer.url, self.hosts)

    def _route_of(self, task: Task) -> Route | None:
        return next((one for one in self.routes if one.name == task.route), None)

    def _terms(self, route: Route) -> Terms:
        return Terms(route=route.name, errors=self.errors, hosts=self.hosts)

    def _route(self, work: Work) -> Route:
        route = self.route(work)
        if route is None:
            raise ValueError(f"'{work.model}' cannot do {work.kind.value.replace('_', ' ')} at {self.name}.")
        return route
