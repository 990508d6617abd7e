"""A server that drains, crashes, reloads and limits: what its callers see, and that their money is right afterwards."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.contract.gateway.test_bad_input import assert_refused
from tests.support import server as servers
from tests.support import upstream as scripts
from tests.support import vendors
from tests.support.raw import Raw, request
from tests.support.server import Server
from tests.support.upstream import Upstream

CHAT = "/v1/chat/completions"
BODY = {"model": "two-targets", "messages": []}
MICRO = 1_000_000


@pytest.fixture(scope="module")
def own_server(background, scripted_upstream: Upstream):
    """A server that these tests may mistreat."""
    running = Server(background, servers.upstream_environ(scripted_upstream), servers.config(scripted_upstream))
    yield running
    servers.assert_ended_well(running)


def reload(server: Server, upstream: Upstream, **changes) -> None:
    """Change the settings of a running server."""
    reloads = server.log.count("settings reloaded")
    server.config.write_text(servers.config(upstream, **changes), "utf-8")
    server.signal(signal.SIGHUP)
    server.wait_for(lambda: server.log.count("settings reloaded") > reloads, "the reload")


def test_a_reload_changes_a_price(own_server: Server, upstream: Upstream):
    payer = own_server.caller(1000)
    usage = {"prompt_tokens": 10_000, "completion_tokens": 0}
    costs = []
    for price in ("1.0", "3.0"):
        reload(own_server, upstream, price=price)
        upstream.answer("up-first", scripts.plain(vendors.chat_answer(usage=usage)))
        costs.append(float(own_server.call(CHAT, BODY, payer.secret).get("x-hypereal-cost-credits")))
    assert costs == [1, 3]


def test_settings_that_make_no_sense_leave_the_old_ones(own_server: Server, upstream: Upstream):
    payer = own_server.caller(1000)
    own_server.config.write_text("[models.\"x\"]\nprice = 'free'\n", "utf-8")
    own_server.signal(signal.SIGHUP)
    own_server.wait_for(lambda: "settings not reloaded" in own_server.log, "the refusal")
    assert own_server.call(CHAT, BODY, payer.secret).status == 200
    reload(own_server, upstream)


def test_over_the_rate_is_429_for_all_keys_of_the_owner(own_server: Server, upstream: Upstream):
    payer, other = own_server.caller(1000), own_server.caller(1000)
    reload(own_server, upstream, requests_per_minute=3)
    try:
        answers = [own_server.call(CHAT, BODY, payer.secret) for _ in range(8)]
        refused = [answer for answer in answers if answer.status == 429]
        assert len(refused) >= 2  # at most 3 + 3, where the minute ended meanwhile
        answer = refused[0]
        assert_refused(answer, CHAT, 429, "rate_limit_error")
        assert (answer.get("x-ratelimit-limit"), answer.get("x-ratelimit-remaining")) == ("3", "0")
        assert 1 <= int(answer.get("retry-after")) <= 30
        assert 1 <= int(answer.get("x-ratelimit-reset")) <= 60
        assert own_server.call(CHAT, BODY, other.secret).status == 200
    finally:
        reload(own_server, upstream)


def test_a_killed_data_process_comes_back_and_its_callers_pay_nothing(own_server: Server, upstream: Upstream):
    payer = own_server.caller(1000)
    upstream.answer("up-first", scripts.stream([*vendors.chat_events()[:2], upstream.gate()]))
    with Raw(own_server.url) as connection:
        connection.post(CHAT, {**BODY, "stream": True}, payer.secret)
        assert connection.head().status == 200
        own_server.wait_for(lambda: own_server.balance(payer).free < 1000 * MICRO, "the hold")
        killed = own_server.pids["data-0"]
        os.kill(killed, signal.SIGKILL)
        with pytest.raises((AssertionError, ValueError, ConnectionError)):  # a cut must not look like an end
            list(connection.chunks())
    own_server.wait_for(lambda: own_server.pids.get("data-0") not in (None, killed), "the new process")
    own_server.is_idle(payer)
    assert own_server.balance(payer).ledger == 1000 * MICRO
    assert own_server.audit() == []
    assert own_server.call(CHAT, BODY, payer.secret).status == 200


def test_a_revoked_key_stops_at_once(own_server: Server, upstream: Upstream):
    payer = own_server.caller(1000)
    assert own_server.call(CHAT, BODY, payer.secret).status == 200
    own_server.query("DELETE FROM keys WHERE id = $1", payer.key.id)
    own_server.wait_for(lambda: own_server.call(CHAT, BODY, payer.secret).status == 401, "the refusal")


def test_a_data_process_loads_no_framework():
    """Its whole import, in a process of its own."""
    forbidden = ("starlette", "uvicorn", "jinja2", "lxml", "stripe", "av", "numpy", "sqlalchemy", "alembic")
    code = f"import sys, hypereal.serve.data; print([name for name in {forbidden} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert run.stdout.strip() == "[]", run.stderr


def test_a_running_data_process_maps_no_library_of_a_framework(own_server: Server):
    maps = Path(f"/proc/{own_server.pids['data-0']}/maps").read_text("utf-8")
    assert "msgspec" in maps
    for name in ("lxml", "numpy", "/av", "sqlalchemy", "xllamacpp"):
        assert name not in maps


def test_sigterm_lets_a_stream_end_and_takes_no_new_callers(background, scripted_upstream: Upstream):
    """The stream ends whole and is charged; the server exits 0."""
    scripted_upstream.reset()
    server = Server(
        background, servers.upstream_environ(scripted_upstream), servers.config(scripted_upstream), workers=2
    )
    stopped = False
    try:
        payer = server.caller(1000)
        gate = scripted_upstream.gate()
        events = vendors.chat_events()
        scripted_upstream.answer("up-first", scripts.stream([*events[:2], gate, *events[2:]]))
        with Raw(server.url) as connection, Raw(server.url) as idle:
            idle.send(request("GET", "/v1/models", b"", payer.secret))
            assert idle.answer().status == 200
            asks_usage = {"stream_options": {"include_usage": True}}
            connection.post(CHAT, {**BODY, "stream": True, **asks_usage}, payer.secret)
            assert connection.head().status == 200
            first = next(connection.chunks())
            pids = server.pids
            server.signal(signal.SIGTERM)
            assert idle.is_closed()  # after 2 s of `connection: close`
            gate.open()
            rest = b"".join(connection.chunks())
            assert first + rest == b"".join(events)
            assert connection.is_closed()
        background.run(server.database.close())
        assert server.process.wait(30) == 0
        stopped = True
        for pid in pids.values():
            assert not Path(f"/proc/{pid}").exists()
    finally:
        if not stopped:
            server.process.kill()
            server.process.wait(10)
