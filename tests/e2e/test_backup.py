"""`hypereal backup` of a server under load, and `hypereal restore` on another machine's folder: the money is right."""

import json
import stat
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import server as servers
from tests.support import upstream as scripts
from tests.support import vendors
from tests.support.background import Background
from tests.support.server import Caller, Server
from tests.support.upstream import Upstream

from hypereal.serve import migrate

MODEL = "one-target"
LOAD_THREADS = 4
GIVEN = 10_000


class Load:
    """Callers who do not stop calling until they are told to."""

    def __init__(self, server: Server, callers: list[Caller]) -> None:
        self._server = server
        self._is_over = threading.Event()
        self.answered = 0
        self._threads = [threading.Thread(target=self._call, args=(caller,)) for caller in callers]
        for thread in self._threads:
            thread.start()

    def _call(self, caller: Caller) -> None:
        body = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 300}
        while not self._is_over.is_set():
            answer = self._server.call(
                "/v1/chat/completions", {**body, "stream": self.answered % 2 == 0}, caller.secret
            )
            assert answer.status == 200
            self.answered += 1

    def wait_for(self, more: int) -> None:
        """Until MORE calls have been answered since."""
        goal = self.answered + more
        self._server.wait_for(lambda: self.answered >= goal, f"{more} more answers")

    def end(self) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()


@pytest.fixture(scope="module")
def saved(background: Background, scripted_upstream: Upstream) -> Iterator[tuple[Server, Path, list[Caller], str]]:
    """A server that goes on serving, the backup made in the middle of a load, who called, and an answer's id."""
    environ, config = servers.upstream_environ(scripted_upstream), servers.config(scripted_upstream)
    running = Server(background, environ, config, workers=2)
    callers = [running.caller(GIVEN) for _ in range(LOAD_THREADS)]
    answer = running.call("/v1/responses", {"model": "chat-only", "input": "first"}, callers[0].secret)
    running.wait_for(lambda: running.query("SELECT 1 FROM conversations"), "the conversation is kept")
    load = Load(running, callers)
    load.wait_for(40)
    file = running.folder / "saved.zip"
    told = running.json("backup", file)
    load.wait_for(40)
    load.end()
    assert told["rows"]["usage"] > 0
    yield running, file, callers, answer.json["id"]
    servers.assert_ended_well(running)


@pytest.fixture(scope="module")
def restored(
    background: Background, scripted_upstream: Upstream, saved: tuple[Server, Path, list[Caller], str]
) -> Iterator[Server]:
    """Another installation, which served nothing before it was restored."""
    environ, config = servers.upstream_environ(scripted_upstream), servers.config(scripted_upstream)

    def prepare(server: Server) -> None:
        told = server.json("restore", saved[1])
        assert told["processes_closed"] == 2
        assert told["replaced"] is None
        assert server.json("audit")["ok"] is True

    running = Server(background, environ, config, prepare=prepare)
    yield running
    servers.assert_ended_well(running)


def test_the_file_is_for_its_owner_alone_and_nothing_is_left_beside_it(
    saved: tuple[Server, Path, list[Caller], str],
) -> None:
    _, file, _, _ = saved
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(file.parent.glob(".saved*")) == []


def test_every_wallet_is_what_the_snapshot_had(saved: tuple[Server, Path, list[Caller], str], restored: Server) -> None:
    old, _, callers, _ = saved
    for caller in callers:
        row = restored.query("SELECT count(*), sum(charged)::bigint FROM usage WHERE owner_id = $1", caller.owner_id)[0]
        now = old.query("SELECT count(*) FROM usage WHERE owner_id = $1", caller.owner_id)[0]
        assert 0 < row[0] < now[0]
        assert restored.balance(caller).ledger == GIVEN * 1_000_000 - row[1]
        assert restored.is_idle(caller)


def test_old_keys_work_there_and_pay_there_alone(
    saved: tuple[Server, Path, list[Caller], str], restored: Server
) -> None:
    old, _, callers, _ = saved
    before, there = restored.balance(callers[1]).ledger, old.balance(callers[1]).ledger
    answer = restored.call(
        "/v1/chat/completions", {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}, callers[1].secret
    )
    assert answer.status == 200
    row = restored.usage(answer.request_id)
    assert restored.balance(callers[1]).ledger == before - row["charged"] < before
    assert old.balance(callers[1]).ledger == there


def test_what_was_encrypted_opens_there(
    saved: tuple[Server, Path, list[Caller], str], restored: Server, upstream: Upstream
) -> None:
    _, _, callers, answer_id = saved
    body = {"model": "chat-only", "input": "second", "previous_response_id": answer_id}
    answer = restored.call("/v1/responses", body, callers[0].secret)
    assert answer.status == 200, answer.body
    assert [message["content"] for message in upstream.request(0).json["messages"]] == [
        "first",
        "".join(vendors.TEXT),
        "second",
    ]


def test_it_is_a_database_of_its_own(saved: tuple[Server, Path, list[Caller], str], restored: Server) -> None:
    old, _, _, _ = saved
    query = "SELECT id FROM cluster"
    assert old.query(query) != restored.query(query)
    numbers = "SELECT max(id) AS last FROM processes"
    assert restored.query(numbers)[0]["last"] > old.query(numbers)[0]["last"]


def test_nothing_is_restored_under_a_running_server(
    saved: tuple[Server, Path, list[Caller], str], restored: Server
) -> None:
    done = restored.run("restore", saved[1], "--force")
    assert done.returncode == 1
    assert f"process {restored.process.pid} (hypereal serve) uses the data folder" in done.stderr
    assert restored.audit() == []


def test_a_stream_that_is_open_while_it_is_saved_is_charged_once_and_on_the_old_side_alone(
    saved: tuple[Server, Path, list[Caller], str], upstream: Upstream
) -> None:
    old, _, callers, _ = saved
    gate = scripts.Gate()
    events = vendors.chat_events()
    upstream.answer("up-first", scripts.stream([*events[:2], gate, *events[2:]]))
    body = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}], "stream": True}
    answers = []
    thread = threading.Thread(target=lambda: answers.append(old.call("/v1/chat/completions", body, callers[2].secret)))
    thread.start()
    gate.wait_reached()
    file = old.folder / "second.zip"
    began_s = time.monotonic()
    rows = old.json("backup", file)["rows"]["usage"]
    assert time.monotonic() - began_s < 30
    gate.open()
    thread.join()
    row = old.usage(answers[0].request_id)
    assert row["charged"] > 0
    assert old.query("SELECT count(*) FROM usage")[0][0] > rows


def test_the_manifest_tells_what_is_there_and_no_secret(saved: tuple[Server, Path, list[Caller], str]) -> None:
    old, file, callers, _ = saved
    secret = (old.data_dir / "secret").read_text()
    with zipfile.ZipFile(file) as parts:
        manifest = parts.read("manifest.json").decode()
        assert json.loads(manifest)["revision"] == migrate.newest()
        assert parts.read("secret").decode() == secret
    assert secret not in manifest
    assert callers[0].secret.encode() not in file.read_bytes()
