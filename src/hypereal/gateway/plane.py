"""The data plane of one process: what every call shares, and the sweep that watches them all once a second."""

import os
import time

from hypereal.accounts import KeyCache
from hypereal.catalog import Catalog
from hypereal.conversations import Conversations
from hypereal.gateway.answers import CORS, PREFLIGHT, error_answer
from hypereal.gateway.cache_economy import CacheEconomy
from hypereal.gateway.call import Call
from hypereal.gateway.cold import relay_cold
from hypereal.gateway.continuations import Continuations
from hypereal.gateway.facts import Facts, read_facts
from hypereal.gateway.free_calls import answer_free
from hypereal.gateway.metrics import Meters, Snapshot
from hypereal.gateway.offers import Offers
from hypereal.gateway.pipeline import conduct, generate
from hypereal.gateway.recording import Recording
from hypereal.gateway.refusals import as_error
from hypereal.gateway.routing import Pools, Routing
from hypereal.gateway.stickiness import Stickiness
from hypereal.gateway.traces import Traces
from hypereal.kit import clock
from hypereal.kit.db import Database
from hypereal.kit.dialects import Dialect
from hypereal.kit.ids import new_request_id
from hypereal.kit.settings import Settings
from hypereal.ledger import Ledger
from hypereal.limits import RateLimiter
from hypereal.net import REASONS, Connection, Malformed, Pool, RequestHead, budget, client_context
from hypereal.wire import DIALECTS


class Plane:
    """Everything a call needs. `connections`, `body_bytes_max` and `is_draining` are read by the connections."""

    catalog: Catalog
    routing: Routing
    offers: Offers
    requests_per_minute: int
    body_bytes_max: int
    trusted_proxies: frozenset[str]

    def __init__(
        self,
        database: Database,
        keys: KeyCache,
        ledger: Ledger,
        *,
        limiter: RateLimiter,
        conversations: Conversations,
        control: Pool,
    ) -> None:
        self.traces: Traces | None = None
        """Where an operator wants any."""
        self.recording = Recording("")
        """Of bodies, where keys ask for it; the process says who takes them."""
        self.continuations = Continuations(database, conversations)
        self.economy = CacheEconomy()
        self.stickiness = Stickiness()
        self.keys = keys
        self.limiter = limiter
        self.ledger = ledger
        self.pools = Pools(client_context())
        self.control = control
        self.meters = Meters()
        self.connections: set[Connection] = set()
        self.is_draining = False
        self.unix_minus_monotonic_s = time.time() - time.monotonic()
        """Added to a reading of the monotonic clock, it is Unix time."""

    def configure(self, settings: Settings, catalog: Catalog, routing: Routing) -> None:
        """Take what an operator can change; calls in progress keep what they began with."""
        self.requests_per_minute = settings.limits.requests_per_minute
        self.body_bytes_max = settings.server.body_bytes_max
        self.trusted_proxies = frozenset(settings.server.trusted_proxies)
        self.catalog = catalog
        self.routing = routing
        self.offers = Offers(catalog, routing)

    # -- what a connection asks ------------------------------------------------------------------------------------

    def begin(self, connection: Connection, head: RequestHead) -> None:
        """Start the call of HEAD."""
        facts = head.memo
        if not isinstance(facts, Facts):
            facts = read_facts(head)
        connection.call = call = Call(connection, head, facts)
        if facts.generates:
            call.begin(conduct(call, self, generate))
        elif facts.route is None:
            call.begin(relay_cold(call, self))
        elif facts.refusal is not None:
            call.begin(_answer_at_once(call, error_answer(call, facts.refusal, facts.route.dialect, None)))
        elif head.method == b"OPTIONS":
            call.begin(_answer_at_once(call, _preflight(call)))
        else:
            call.begin(conduct(call, self, answer_free))

    def refuse(self, connection: Connection, why: Malformed) -> bytes:
        """The whole answer to a request that broke the grammar. Which dialect it wanted is unknown: the superset."""
        error = as_error(why)
        request_id = new_request_id()
        body = DIALECTS[Dialect.OPENAI_CHAT].error_body(error, request_id)
        return (
            b"HTTP/1.1 %d %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n"
            b"x-request-id: %s\r\nx-should-retry: false\r\n\r\n%s"
        ) % (error.status, REASONS.get(error.status, b"Error"), len(body), request_id.encode(), body)

    # -- once a second ---------------------------------------------------------------------------------------------

    def sweep(self) -> None:
        """Watch every connection, call and pool."""
        clock.coarse.tick()
        self.unix_minus_monotonic_s = clock.coarse.unix_s - clock.coarse.monotonic_s
        for connection in list(self.connections):
            call = connection.call
            if isinstance(call, Call):
                call.sweep()
            connection.sweep()
        self.pools.sweep()
        self.control.sweep()
        if self.traces is not None:
            self.traces.flush()

    def snapshot(self, process: str) -> Snapshot:
        """This process's figures."""
        return Snapshot(
            process=process,
            pid=os.getpid(),
            at_unix_s=clock.coarse.unix_s,
            connections=len(self.connections),
            calls_open=self.calls_open,
            body_bytes=budget.bytes_held,
            unsettled=self.ledger.unsettled,
            spool=self.ledger.figures,
            conversations_dropped=self.continuations.dropped,
            bodies_dropped=self.recording.dropped,
            traces_dropped=0 if self.traces is None else self.traces.dropped,
            meters=list(self.meters),
            targets={target.name: target.breaker.health for target in self.routing.targets()},
        )

    @property
    def calls_open(self) -> int:
        """Calls whose answer is not whole yet."""
        return sum(connection.call is not None for connection in self.connections)


async def _answer_at_once(call: Call, answer: bytes) -> None:
    """The life of a call that is refused or answered by its head alone."""
    call.connection.transport.write(answer)
    call.finish()


def _preflight(call: Call) -> bytes:
    close = "" if call.connection.keeps_alive else "connection: close\r\n"
    return f"HTTP/1.1 204 No Content\r\n{close}x-request-id: {call.request_id}\r\n{CORS}{PREFLIGHT}\r\n".encode()
