"""Two hosts on one PostgreSQL, as docs/how-to/two-hosts.md has them: one is cut off while it serves, and comes back."""

import threading
import time
from collections.abc import Iterator

import asyncpg
import pytest
from tests.support import network, raw, vendors
from tests.support import server as servers
from tests.support import upstream as scripts
from tests.support.background import Background
from tests.support.network import Host, Network
from tests.support.server import Caller, Server
from tests.support.upstream import Upstream

from hypereal.kit.ids import new_key

WHY_NOT = network.lacking()
pytestmark = [pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT), pytest.mark.timeout(280)]

SECRET = "0123456789abcdef" * 2
PATH = "/v1/chat/completions"
CHAT = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 300}
STREAMS = 24
"""Open on the host that is cut off: they make it lease ahead, and end while it is alone."""
CALLS_ALONE = 10
CALLS_ALONE_S = 8.0
ENOUGH = 330_000 * (STREAMS + 1) + 270_000 * CALLS_ALONE
"""Micro-credits that hold all streams and one call, and pay the calls before it: a call holds 0.32 and costs 0.26."""
PATIENCE_S = 60.0
MINUTE_LEFT_S = 45.0


@pytest.fixture(scope="module")
def net() -> Iterator[Network]:
    with network.network() as made:
        yield made


@pytest.fixture(scope="module")
def vendor(background: Background) -> Iterator[Upstream]:
    """One upstream that both hosts reach."""
    running = Upstream(background, host="0.0.0.0")
    yield running
    running.close()


@pytest.fixture(scope="module")
def pair(net: Network, vendor: Upstream, background: Background) -> Iterator[list[Server]]:
    """The same settings but for addresses, the same secret, the same database."""
    running = []
    for host in net.hosts:
        place = servers.Place(prefix=host.prefix, address=host.address, database_url=net.url)
        here = {name: _seen_from(host, value) for name, value in servers.upstream_environ(vendor).items()}
        environ = here | {"HYPEREAL_DATABASE_URL": net.url_of(host), "HYPEREAL_SERVER__SECRET": SECRET}
        running.append(Server(background, environ, _seen_from(host, servers.config(vendor)), place=place))
    yield running
    for server in running:
        servers.assert_ended_well(server)


def _seen_from(host: Host, text: str) -> str:
    return text.replace("0.0.0.0", host.our_address)


class Ledger:
    """What the calls of one caller were answered, by any thread."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self.answers: list[raw.Answer] = []

    def call(self, server: Server, **members: object) -> raw.Answer:
        answer = raw.call(server.url, PATH, {"model": "one-target", **CHAT, **members}, self._caller.secret)
        self.answers.append(answer)
        return answer

    def in_background(self, server: Server, **members: object) -> threading.Thread:
        thread = threading.Thread(target=self.call, args=(server,), kwargs=members)
        thread.start()
        return thread

    @property
    def paid_for(self) -> set[str]:
        """The ids of the calls that were answered in full."""
        return {answer.request_id for answer in self.answers if answer.status == 200}


def assert_told_to_come_back(answer: raw.Answer) -> None:
    """An outage of ours is no fault of the caller's."""
    assert answer.status == 503, answer.body
    assert 1 <= int(answer.get("retry-after") or 0) <= 30


def wait_for_a_fresh_minute(server: Server) -> None:
    """A host counts requests in slices of the database's minute: begin where most of it is left."""
    server.wait_for(
        lambda: (
            server.query("SELECT 60 - extract(second FROM clock_timestamp()) AS left_s")[0]["left_s"] > MINUTE_LEFT_S
        ),
        "a fresh minute",
        PATIENCE_S,
    )


def test_both_hosts_serve_one_key_from_one_wallet(pair: list[Server]) -> None:
    caller = pair[0].caller()
    told = Ledger(caller)
    for _ in range(5):
        for server in pair:
            assert told.call(server).status == 200
    rows = pair[0].rows_of(caller, 10)
    assert {row["request_id"] for row in rows} == told.paid_for
    assert pair[1].balance(caller).ledger == 10_000_000_000 - sum(row["charged"] for row in rows)
    assert pair[0].query("SELECT count(DISTINCT instance_id) FROM processes WHERE state = 'live'")[0][0] == 2


def test_a_host_that_is_cut_off_serves_what_it_has_leased_and_settles_it_when_it_is_back(
    pair: list[Server], net: Network, vendor: Upstream
) -> None:
    far, near = pair
    caller = far.caller()
    told = Ledger(caller)
    wait_for_a_fresh_minute(far)
    gate = scripts.Gate()
    events = vendors.chat_events()
    vendor.answer("grok-test", *[scripts.stream([*events[:2], gate, *events[2:]]) for _ in range(STREAMS)])
    for server in pair:
        assert told.call(server).status == 200
    open_streams = [told.in_background(far, model="grok-test", stream=True) for _ in range(STREAMS)]
    gate.wait_reached()
    far.wait_for(lambda: len(vendor.requests) >= STREAMS + 2, "all streams are open")
    far.wait_for(lambda: told.call(far).status == 200 and leased(far, caller) > ENOUGH, "credit is leased ahead")

    net.hosts[0].cut()
    assert_told_to_come_back(raw.call(far.url, PATH, CHAT, new_key()))
    assert far.call("/readyz", method="GET").status == 503
    for _ in range(CALLS_ALONE):
        assert told.call(far).status == 200
        assert told.call(near).status == 200
        time.sleep(CALLS_ALONE_S / CALLS_ALONE)
    gate.open()
    for thread in open_streams:
        thread.join()
    assert all(answer.status == 200 for answer in told.answers)

    last = told.call(far)
    while last.status == 200:  # what it has leased is soon spent
        last = told.call(far)
    assert_told_to_come_back(last)
    assert told.call(near).status == 200
    assert near.call("/readyz", method="GET").status == 200
    paid = told.paid_for
    unknown = paid - rows_of(near, caller).keys()
    assert len(unknown) >= CALLS_ALONE + STREAMS, "the database cannot know what was served beyond the cut"
    assert near.audit() == []

    net.hosts[0].heal()
    far.wait_for(lambda: told.call(far).status == 200, "it serves again", PATIENCE_S)
    near.wait_for(lambda: told.paid_for <= rows_of(near, caller).keys(), "its settlements arrive", PATIENCE_S)
    rows = rows_of(near, caller)
    assert {request for request, row in rows.items() if row["status"] == 200} == told.paid_for
    assert {row["charged"] > 0 for row in rows.values() if row["status"] == 200} == {True}
    assert sum(row["written_off"] for row in rows.values()) == 0
    for answer in told.answers:
        if answer.status == 200 and (cost := answer.get("x-hypereal-cost-credits")):
            assert rows[answer.request_id]["charged"] == round(float(cost) * 1_000_000)
    assert far.balance(caller).ledger == 10_000_000_000 - sum(row["charged"] for row in rows.values())
    assert far.audit() == []
    far.wait_for(lambda: far.call("/readyz", method="GET").status == 200, "it is ready", PATIENCE_S)


def leased(server: Server, caller: Caller) -> int:
    """Micro-credits of the caller's wallet that the processes of this host have leased."""
    query = """
        SELECT coalesce(sum(granted - charged), 0)::bigint FROM leases JOIN processes p ON p.id = process_id
        WHERE pool_id = $1 AND instance_id = $2
    """
    instance_id = (server.data_dir / "instance_id").read_text("ascii").strip()
    return int(server.query(query, caller.owner_id, instance_id)[0][0])


def rows_of(server: Server, caller: Caller) -> dict[str, asyncpg.Record]:
    """The caller's usage rows that the database knows, by request."""
    rows = server.query("SELECT * FROM usage WHERE owner_id = $1", caller.owner_id)
    assert len({row["request_id"] for row in rows}) == len(rows)
    return {row["request_id"]: row for row in rows}
