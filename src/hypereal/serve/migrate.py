"""Is the database's schema that of this version, and bring it there. `hypereal/migrations` holds the migrations.

`python -m hypereal.serve.migrate` reads the URL from HYPEREAL_MIGRATE_URL.
"""

import os
import subprocess
import sys
from importlib import resources

import asyncpg

CONNECT_S_MAX = 10.0
MIGRATION_S_MAX = 3600.0
SHOWN_BYTES_MAX = 4000


class MigrationFailed(Exception):
    """The schema is as it was before; the message ends with what the database said."""


async def is_current(url: str) -> bool:
    """Whether the newest migration was applied. Raises what asyncpg raises where the database is not there."""
    connection = await asyncpg.connect(url, timeout=CONNECT_S_MAX)
    try:
        applied = await connection.fetchval("SELECT version_num FROM alembic_version")
    except asyncpg.UndefinedTableError:
        return False
    finally:
        await connection.close()
    return bool(applied == newest())


def newest() -> str:
    """The newest migration's number, from the files' names: `0001_first.py` is '0001'."""
    return max(_numbers())


def knows(revision: str) -> bool:
    """Whether a schema of REVISION can be made, and brought up to the newest."""
    return revision in _numbers()


def _numbers() -> set[str]:
    versions = resources.files("hypereal.migrations").joinpath("versions").iterdir()
    return {file.name[:4] for file in versions if file.name[:4].isdigit()}


def up(url: str) -> None:
    """Apply what is missing, all or nothing; of several at once all but one wait. Blocks; takes about a second.

    Runs in a child, because Alembic and SQLAlchemy weigh 30 MB that no long-lived process needs.
    Raises MigrationFailed.
    """
    child = subprocess.run(
        [sys.executable, "-m", "hypereal.migrations"],
        env={**os.environ, "HYPEREAL_MIGRATE_URL": url},
        capture_output=True,
        timeout=MIGRATION_S_MAX,
        check=False,
    )
    if child.returncode != 0:
        raise MigrationFailed(child.stderr[-SHOWN_BYTES_MAX:].decode(errors="replace"))


if __name__ == "__main__":
    up(os.environ["HYPEREAL_MIGRATE_URL"])
