"""A migrated database for a test: one server and one template a run, a copy of the template (20..30 ms) a test.

The server is that of HYPEREAL_TEST_DATABASE_URL, whose user may create databases, else an embedded one.
"""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio

from hypereal.kit.db import Database
from hypereal.serve import migrate
from hypereal.serve.postgres import EmbeddedPostgres


class Server:
    """The PostgreSQL of this run, with the template that tests copy."""

    def __init__(self, runner: asyncio.Runner, url: str) -> None:
        self._runner = runner
        self._url = url
        self._connection = runner.run(asyncpg.connect(url))
        self._template = f"template_{uuid4().hex}"
        self._execute(f"CREATE DATABASE {self._template}")
        migrate.up(self._url_of(self._template))

    def create(self) -> str:
        """The URL of a new database."""
        name = f"test_{uuid4().hex}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {self._template}")
        return self._url_of(name)

    def drop(self, url: str) -> None:
        """Remove a database, whoever is still connected to it."""
        self._execute(f"DROP DATABASE {urlsplit(url).path.lstrip('/')} WITH (FORCE)")

    def close(self) -> None:
        """Remove the template."""
        self.drop(self._url_of(self._template))
        self._runner.run(self._connection.close())

    def _execute(self, statement: str) -> None:
        self._runner.run(self._connection.execute(statement))

    def _url_of(self, name: str) -> str:
        return urlsplit(self._url)._replace(path=f"/{name}").geturl()


def migrate_to(url: str, revision: str) -> None:
    """Bring an empty database up to REVISION, as an older version left it. Blocks."""
    program = (
        "import asyncio\n"
        "from hypereal.migrations.upgrading import transaction, upgrade\n"
        "async def main():\n"
        f"    async with transaction({url!r}) as connection:\n"
        f"        await upgrade(connection, {revision!r})\n"
        "asyncio.run(main())\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.fixture(scope="session")
def database_server() -> Iterator[Server]:
    """The server of this run."""
    with asyncio.Runner() as runner:
        if given := os.environ.get("HYPEREAL_TEST_DATABASE_URL"):
            server = Server(runner, given)
            yield server
            server.close()
            return
        folder = Path(tempfile.mkdtemp(prefix="hypereal-test-"))
        postgres = EmbeddedPostgres(folder)
        try:
            server = Server(runner, runner.run(postgres.start()))
            yield server
            server.close()
        finally:
            runner.run(postgres.stop())
            shutil.rmtree(folder)


@pytest.fixture
def database_url(database_server: Server) -> Iterator[str]:
    """The URL of a migrated database of the test's own."""
    url = database_server.create()
    yield url
    database_server.drop(url)


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An open `Database` on `database_url`."""
    opened = Database(database_url)
    await opened.open()
    yield opened
    await opened.close()
