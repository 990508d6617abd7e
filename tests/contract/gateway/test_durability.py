"""Where a settlement is when its reply has ended, and how operators see that a spool cannot be written."""

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
from tests.support import server as servers
from tests.support.background import Background
from tests.support.raw import Answer
from tests.support.server import Server
from tests.support.upstream import Upstream

CHAT = "/v1/chat/completions"
BODY = {"model": "one-target", "messages": []}


@pytest.fixture(scope="module")
def strict(background: Background, scripted_upstream: Upstream) -> Iterator[Server]:
    """A server whose replies wait for the commit; its spool has a disk that fails until a test mends it."""
    config = servers.config(scripted_upstream) + '\n[ledger]\ndurability = "database"\n'
    environ = servers.upstream_environ(scripted_upstream)

    def put_in_the_way(server: Server) -> None:
        server.data_dir.mkdir(mode=0o711)
        (server.data_dir / "spool").write_text("in the way")

    running = Server(background, environ, config, prepare=put_in_the_way)
    yield running
    servers.assert_ended_well(running)


@pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])
def test_reply_ends_once_the_database_has_its_settlement(is_stream, strict: Server, upstream: Upstream):
    payer = strict.caller(1000)
    for number in range(10):
        answer = strict.call(CHAT, {**BODY, "stream": is_stream}, payer.secret)
        assert answer.status == 200
        rows = strict.query("SELECT charged FROM usage WHERE owner_id = $1", payer.owner_id)  # not waited for
        assert len(rows) == number + 1


def test_disk_that_fails_is_seen_and_billing_goes_on_until_it_is_mended(strict: Server, upstream: Upstream):
    assert strict.call(CHAT, BODY, strict.caller(1000).secret).status == 200
    strict.wait_for(lambda: ready_of(strict).json["spool"] == "data-0: Not a directory", "the disk is seen")
    assert ready_of(strict).status == 200
    assert 'hypereal_spool_writable{process="data-0"} 0.0' in strict.call("/metrics", method="GET").body.decode()
    assert status_of(strict)["spool"]["data-0"]["state"] == "Not a directory"
    (strict.data_dir / "spool").unlink()
    strict.wait_for(lambda: ready_of(strict).json["spool"] == "ok", "a spool")
    assert strict.call(CHAT, BODY, strict.caller(1000).secret).status == 200
    assert 'hypereal_spool_writable{process="data-0"} 1.0' in strict.call("/metrics", method="GET").body.decode()
    strict.wait_for(lambda: status_of(strict)["spool"]["data-0"]["segments"] == 1, "a file")


def ready_of(server: Server) -> Answer:
    return server.call("/readyz", method="GET")


def status_of(server: Server) -> dict:
    command = [sys.executable, "-m", "hypereal", "status", "--json", "--data-dir", str(server.data_dir)]
    done = subprocess.run(command, capture_output=True, text=True, env=server._environ, timeout=60, check=True)
    return json.loads(done.stdout)
