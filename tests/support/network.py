"""Hosts that are network namespaces of this machine, and a PostgreSQL that they reach over links which can be cut.

    us --- host --- the database's host --- host --- us

Packets over a cut link are dropped, as behind a switch that has failed: nobody is told. Needs root and `ip` (iproute2).
"""

import asyncio
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from hypereal.serve.postgres import binaries

PASSWORD = "the-password-of-a-test"
USER = "hypereal"
READY_S_MAX = 60.0
END_S_MAX = 30.0


def lacking() -> str:
    """What keeps this machine from having such hosts; '' where nothing does."""
    if os.geteuid() != 0:
        return "needs root, to make network namespaces"
    if shutil.which("ip") is None:
        return "needs `ip` (of the package iproute2)"
    name = f"hy-try-{os.getpid()}"
    tried = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if tried.returncode:
        return f"cannot make network namespaces: {tried.stderr.strip()}"
    _ip("netns", "delete", name)
    return ""


class Host:
    """One namespace, with a link to the database's host and a link to us."""

    def __init__(self, name: str, database_host: str, pairs: Iterator[tuple[str, str]]) -> None:
        self.namespace = name
        self._database_host = database_host
        _ip("netns", "add", name)
        self._cable = f"{name}d"
        self.database_address, own = next(pairs)
        _connect((database_host, self._cable, self.database_address), (name, "database", own))
        self.our_address, self.address = next(pairs)
        _connect(("", f"{name}u", self.our_address), (name, "us", self.address))

    @property
    def prefix(self) -> tuple[str, ...]:
        """What goes before a command that is to run on this host."""
        return ("ip", "netns", "exec", self.namespace)

    def cut(self) -> None:
        """From now on nothing passes between this host and the database's."""
        _ip("-n", self._database_host, "link", "set", self._cable, "down")

    def heal(self) -> None:
        """It passes again."""
        _ip("-n", self._database_host, "link", "set", self._cable, "up")


class Network:
    """Two hosts, and a third with PostgreSQL: `url` as we reach it, `url_of` as they do."""

    def __init__(self, folder: Path) -> None:
        self._name = f"hy{os.getpid()}"
        self._folder = folder
        self._namespaces = [f"{self._name}{letter}" for letter in "pab"]
        self.url = f"postgresql://{USER}@/postgres?host={folder}/sockets"
        _ip("netns", "add", self._namespaces[0])
        _ip("-n", self._namespaces[0], "link", "set", "lo", "up")
        pairs = _pairs()
        self.hosts = [Host(name, self._namespaces[0], pairs) for name in self._namespaces[1:]]
        self._postgres = self._start_postgres()

    def url_of(self, host: Host) -> str:
        """The database's address for HOST."""
        return f"postgresql://{USER}:{PASSWORD}@{host.database_address}/postgres"

    def close(self) -> None:
        """End PostgreSQL; the hosts vanish with their links."""
        self._postgres.send_signal(signal.SIGINT)
        self._postgres.wait(END_S_MAX)
        for name in self._namespaces:
            _ip("netns", "delete", name)

    def _start_postgres(self) -> subprocess.Popen[bytes]:
        cluster, password = self._folder / "postgres", self._folder / "password"
        account = binaries.account_for(cluster)
        assert account is not None, "we are root"
        programs = binaries.locate(self._folder, account)
        password.write_text(PASSWORD)
        for path in (cluster, self._folder / "sockets"):
            path.mkdir(mode=0o700)
        for path in (cluster, self._folder / "sockets", password):
            os.chown(path, account.uid, account.gid)
        as_account = ["setpriv", f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups"]
        auth = ["--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={password}"]
        initdb = [*as_account, programs.folder / "initdb", "-D", cluster, "-U", USER, "--encoding=UTF8", *auth]
        subprocess.run(initdb, cwd="/", check=True, capture_output=True, timeout=READY_S_MAX)
        with (cluster / "pg_hba.conf").open("a") as rules:
            rules.write("host all all all scram-sha-256\n")
        options = [f"-cunix_socket_directories={self._folder / 'sockets'}", "-clisten_addresses=*", "-ctimezone=UTC"]
        there = ["ip", "netns", "exec", self._namespaces[0]]
        return subprocess.Popen(
            [*there, *as_account, programs.folder / "postgres", "-D", cluster, *options],
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=(self._folder / "postgres.log").open("wb"),
        )

    def wait_ready(self) -> None:
        """Return once PostgreSQL answers."""
        deadline = time.monotonic() + READY_S_MAX
        while not asyncio.run(_answers(self.url)):
            assert time.monotonic() < deadline, (self._folder / "postgres.log").read_text()
            time.sleep(0.05)


@contextmanager
def network() -> Iterator[Network]:
    """A network whose PostgreSQL answers."""
    folder = Path(tempfile.mkdtemp(prefix="hy-"))
    folder.chmod(0o711)  # PostgreSQL runs as another user
    made = Network(folder)
    try:
        made.wait_ready()
        yield made
    finally:
        made.close()
        shutil.rmtree(folder)


def _connect(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    """A cable between two (namespace, interface, address); the namespace '' is ours."""
    _ip("link", "add", one[1], "type", "veth", "peer", "name", f"{one[1]}p")
    for (namespace, interface, address), made in ((one, one[1]), (other, f"{one[1]}p")):
        within = ["-n", namespace] if namespace else []
        if namespace:
            _ip("link", "set", made, "netns", namespace, "name", interface)
        _ip(*within, "address", "add", f"{address}/30", "dev", interface)
        _ip(*within, "link", "set", interface, "up")
        if namespace:
            _ip(*within, "link", "set", "lo", "up")


def _pairs() -> Iterator[tuple[str, str]]:
    """The two addresses of one network after another, private ones that hardly anybody else uses now."""
    start = f"10.{random.randrange(64, 255)}.{random.randrange(256)}"
    for number in range(0, 256, 4):
        yield f"{start}.{number + 1}", f"{start}.{number + 2}"


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, timeout=END_S_MAX)


async def _answers(url: str) -> bool:
    try:
        await (await asyncpg.connect(url, timeout=5)).close()
    except (OSError, asyncpg.PostgresError):
        return False
    return True
