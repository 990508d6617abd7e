"""The real server as a process, its providers pointed at the scripted upstream; and what tests ask of its database."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
from tests.support import raw
from tests.support.background import Background
from tests.support.upstream import Upstream

from hypereal.accounts import Key, KeyTerms, create_key, create_user
from hypereal.kit.db import Database
from hypereal.kit.ids import AccountId, new_id
from hypereal.kit.money import MICRO_PER_CREDIT, Micro
from hypereal.ledger import Balance, Credit, Difference, add_credits, audit, balance

START_S_MAX = 60.0
WAIT_S_MAX = 20.0
POLL_S = 0.02
BODY_BYTES_MAX = 4 * 1024 * 1024
UPSTREAM_KEY = "sk-upstream-0123456789abcdef"
"""Every provider has it; it must never be seen by a caller or in a log."""
VENDORS = ("deepseek", "dashscope", "moonshot", "zai", "minimax", "xai")

CONFIG = """
[server]
body_bytes_max = {body_bytes_max}
drain_s = 20
log_level = "debug"

[limits]
requests_per_minute = {requests_per_minute}

[providers.first]
dialects = ["openai_chat", "openai_responses", "anthropic_messages", "gemini"]
base_url = "{upstream}/first/v1"

[providers.second]
dialects = ["openai_chat", "openai_responses", "anthropic_messages", "gemini"]
base_url = "{upstream}/second/v1"

[providers.silent]
dialects = ["openai_chat"]
base_url = "{upstream}/silent/v1"
timeout_s = 1

[providers.closed]
dialects = ["openai_chat"]
base_url = "http://127.0.0.1:9/v1"

[providers.chat_only]
dialects = ["openai_chat"]
base_url = "{upstream}/chat-only/v1"
usage = "xai"

[models."chat-only"]
targets = ["chat_only:up-chat-only"]
endpoints = ["openai_chat", "openai_responses", "anthropic_messages", "gemini"]
price = {{ input = 1.0, output = 10.0 }}
output_tokens_max = 65536

[models."two-targets"]
targets = ["first:up-first", "second:up-second"]
price = {{ input = {price}, output = 10.0 }}

[models."silent"]
targets = ["silent:up-silent"]
price = {{ input = 1.0, output = 10.0 }}

[models."one-target"]
targets = ["first:up-first"]
price = {{ input = 1.0, output = 10.0 }}

[models."with-cost"]
targets = [{{ target = "first:up-cost", cost = {{ input = 0.5, output = 5.0, cache_read = 0.05 }} }}]
price = {{ input = 1.0, output = 10.0, cache_read = 0.1 }}

[models."repriced"]
targets = ["first:up-repriced"]
price = {{ input = 1.0, output = 10.0 }}

[models."closed-then-second"]
targets = ["closed:up-closed", "second:up-second"]
price = {{ input = 1.0, output = 10.0 }}

[models."closed-only"]
targets = ["closed:up-closed"]
price = {{ input = 1.0, output = 10.0 }}

[models."grok-test"]
targets = ["xai:grok-test"]
price = {{ input = 1.0, output = 10.0 }}
"""
DEFAULTS: Mapping[str, Any] = {
    "body_bytes_max": BODY_BYTES_MAX,
    "requests_per_minute": 100_000,
    "price": "1.0",
}


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody with a key and a wallet."""

    secret: str
    key: Key
    owner_id: AccountId


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a server runs, where that is not simply here."""

    prefix: tuple[str, ...]
    """What goes before a command, so that it runs there."""
    address: str
    """Where it listens."""
    database_url: str
    """The database as the test reaches it."""


class Server:
    """One running `hypereal serve`. Every method may be called from sync and async tests.

    PREPARE is given the server before its first start: commands may run on its folder by then.
    """

    def __init__(
        self,
        background: Background,
        environ: Mapping[str, str],
        config: str = "",
        workers: int = 1,
        prepare: "Callable[[Server], object] | None" = None,
        place: Place | None = None,
    ) -> None:
        self._background = background
        self._place = place
        self.folder = Path(tempfile.mkdtemp(prefix="hy-"))
        self.folder.chmod(0o711)  # PostgreSQL runs as another user where we are root
        self.config = self.folder / "hypereal.toml"
        self.config.write_text(config, "utf-8")
        self._log = self.folder / "log"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HYPEREAL_")}
        kept |= {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "HOME": str(self.folder)}
        host = place.address if place else "127.0.0.1"
        self._serve = ["serve", "--host", host, "--port", "0", "--workers", str(workers)]
        self._environ = {**kept, **environ}
        if prepare is not None:
            prepare(self)
        self._start()

    def _start(self) -> None:
        with self._log.open("ab") as log:
            command = self._command(*self._serve)
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=self._environ)
        self.url = self._wait_ready()
        embedded = f"postgresql://hypereal@/postgres?host={self.data_dir}/sockets"
        self.database = Database(self._place.database_url if self._place else embedded, connections_max=2)
        self._background.run(self.database.open())

    @property
    def data_dir(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> str:
        """All that was written to stderr."""
        return self._log.read_text("utf-8", "replace")

    @property
    def pids(self) -> dict[str, int]:
        """Of the children, by name ('data-0', 'control')."""
        status = json.loads((self.data_dir / "run" / "supervisor.json").read_bytes())
        children: dict[str, int] = status["children"]
        return children

    # -- callers and money -----------------------------------------------------------------------------------------

    def caller(self, credits: float = 10_000, **terms: Any) -> Caller:
        """A new user with one key; TERMS are KeyTerms'."""

        async def make() -> Caller:
            user = await create_user(self.database, f"{new_id('u')}@example.com")
            if credits:
                amount = Micro(round(credits * MICRO_PER_CREDIT))
                await add_credits(
                    self.database, user.account_id, Credit(amount=amount, source="test", source_id=user.id)
                )
            new = await create_key(self.database, user.account_id, KeyTerms(**terms))
            return Caller(secret=new.secret, key=new.key, owner_id=user.account_id)

        return self._background.run(make())

    def usage(self, request_id: str) -> asyncpg.Record:
        """The usage row of a call, waited for."""
        rows = self.wait_for(
            lambda: self.query("SELECT * FROM usage WHERE request_id = $1", request_id), f"usage row of {request_id}"
        )
        assert len(rows) == 1
        return rows[0]

    def rows_of(self, caller: Caller, count: int) -> list[asyncpg.Record]:
        """The usage rows of a caller, waited for until there are COUNT."""
        query = "SELECT * FROM usage WHERE owner_id = $1 ORDER BY started_at"
        self.wait_for(lambda: len(self.query(query, caller.owner_id)) >= count, f"{count} usage rows")
        return self.query(query, caller.owner_id)

    def balance(self, caller: Caller) -> Balance:
        """The caller's wallet as the database has it."""
        return self._background.run(balance(self.database, caller.owner_id))

    def audit(self) -> list[Difference]:
        """Sums that do not agree; there must be none at any moment."""
        return self._background.run(audit(self.database))

    def query(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        """Rows of the server's database."""

        async def fetch() -> list[asyncpg.Record]:
            async with self.database.connection() as connection:
                return await connection.fetch(statement, *arguments)

        return self._background.run(fetch())

    def is_idle(self, caller: Caller) -> bool:
        """Whether nothing of the caller's wallet is held any more, waited for.

        What is only leased is called back, as a process does that is short of it: left alone it would come in 2 s.
        """

        def is_free() -> bool:
            self.query("SELECT pg_notify('ledger_recalls', $1)", caller.owner_id)
            balance = self.balance(caller)
            return balance.free == balance.ledger

        self.wait_for(is_free, "holds given back")
        return True

    # -- commands --------------------------------------------------------------------------------------------------

    def run(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """A command on the server's folder, run to its end."""
        command = self._command(*map(str, arguments))
        return subprocess.run(
            command, env=self._environ, cwd=self.folder, capture_output=True, text=True, timeout=START_S_MAX
        )

    def json(self, *arguments: object) -> dict[str, Any]:
        """What a command that ends well says with --json."""
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    def _command(self, *arguments: str) -> list[str]:
        places = ["--config", str(self.config), "--data-dir", str(self.data_dir)]
        prefix = self._place.prefix if self._place else ()
        return [*prefix, sys.executable, "-m", "hypereal", *arguments, *places]

    # -- the process -----------------------------------------------------------------------------------------------

    def call(self, path: str, body: object = b"", key: str = "", **options: Any) -> raw.Answer:
        """One request on a connection of its own."""
        return raw.call(self.url, path, body, key, **options)

    def wait_for(self, found: Callable[[], Any], what: str, within_s: float = WAIT_S_MAX) -> Any:
        """What FOUND gives once it is true. Fails, naming WHAT, after WITHIN_S."""
        deadline = time.monotonic() + within_s
        while not (value := found()):
            assert time.monotonic() < deadline, f"not in time: {what}"
            assert self.process.poll() is None, f"the server has ended:\n{self.log[-3000:]}"
            time.sleep(POLL_S)
        return value

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def stop(self) -> int:
        """End it as an operator would; the exit code."""
        try:
            return self._end()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def restart(self) -> None:
        """End it, and start it again on the same folder; its address is another."""
        assert self._end() == 0, self.log
        self._start()

    def _end(self) -> int:
        self._background.run(self.database.close())
        self.process.terminate()
        try:
            return self.process.wait(START_S_MAX)
        finally:
            if self.process.poll() is None:
                self.process.kill()

    def _wait_ready(self) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if found := re.search(r"http://[0-9.]+:[0-9]+", line.decode()):
                return found.group()
        raise AssertionError(f"it did not start:\n{self.log[-3000:]}")


def upstream_environ(upstream: Upstream) -> dict[str, str]:
    """Every vendor's key and address."""
    addresses = {"OPENAI": "/v1", "ANTHROPIC": "", "GOOGLE": ""} | {name.upper(): f"/{name}/v1" for name in VENDORS}
    environ = {f"{name}_BASE_URL": upstream.url + path for name, path in addresses.items()}
    keyed = [*addresses, "GEMINI", "FIRST", "SECOND", "SILENT", "CLOSED", "CHAT_ONLY"]
    return environ | {f"{name}_API_KEY": UPSTREAM_KEY for name in keyed}


def config(upstream: Upstream, **changes: Any) -> str:
    """`hypereal.toml` with the models that tests of failover and reload need."""
    return CONFIG.format(upstream=upstream.url, **{**DEFAULTS, **changes})


@pytest.fixture(scope="session")
def background() -> Iterator[Background]:
    """The loop that upstreams and database pools live in."""
    running = Background()
    yield running
    running.close()


@pytest.fixture(scope="session")
def scripted_upstream(background: Background) -> Iterator[Upstream]:
    """One for all servers; tests take `upstream`."""
    running = Upstream(background)
    yield running
    running.close()


@pytest.fixture
def upstream(scripted_upstream: Upstream) -> Iterator[Upstream]:
    """The scripted upstream, without scripts and records of other tests."""
    scripted_upstream.reset()
    yield scripted_upstream
    scripted_upstream.reset()


@pytest.fixture(scope="session")
def server(background: Background, scripted_upstream: Upstream) -> Iterator[Server]:
    """A server whose providers are the scripted upstream. Shared: leave it as it was."""
    running = Server(background, upstream_environ(scripted_upstream), config(scripted_upstream))
    yield running
    assert_ended_well(running)


@pytest.fixture(scope="session")
def local_server(background: Background) -> Iterator[Server]:
    """A server without any provider key: the local model answers."""
    running = Server(background, {})
    yield running
    assert_ended_well(running)


@pytest.fixture(scope="session")
def caller(server: Server) -> Caller:
    """Somebody rich, for tests that do not look at their wallet."""
    return server.caller(1_000_000)


def assert_ended_well(server: Server) -> None:
    """Stop SERVER. Whatever a run did to it: the sums agree, the log tells no secret and no fault, and it exits 0."""
    differences = server.audit()
    log = server.log
    assert server.stop() == 0
    assert differences == []
    assert_tells_no_secret(log)
    lines = [json.loads(line) for line in log.splitlines()]  # all of it, whoever logs
    assert all(line["process"] and line["level"] and line["timestamp"] for line in lines)
    assert "a call failed" not in log, log


def assert_tells_no_secret(log: str) -> None:
    """No key of a caller or of an upstream, no `?key=` value and no body (tests put MARK into theirs)."""
    for secret in ("ck_", UPSTREAM_KEY, "?key=", MARK):
        assert secret not in log


MARK = "zanzibar"
"""A word that stands in prompts and answers only."""
