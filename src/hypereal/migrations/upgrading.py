"""One transaction in which a database is brought to a revision, over asyncpg and under a lock.

The lock makes hosts that start at once take turns.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

LOCK = 0x48595045  # "HYPE": the advisory lock of migrations
HEAD = "head"


@asynccontextmanager
async def transaction(url: str) -> AsyncIterator[AsyncConnection]:
    """One transaction on the database at URL, committed at the end; whoever else migrates waits for it."""
    # asyncpg reads the URL itself: SQLAlchemy would refuse some forms of it (sslmode, socket folders).
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(url), poolclass=NullPool
    )
    try:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            yield connection
    finally:
        await engine.dispose()


async def upgrade(connection: AsyncConnection, revision: str = HEAD) -> None:
    """Apply what is missing up to REVISION, in the transaction that is open."""
    await connection.run_sync(_upgrade, revision)


def _upgrade(connection: Connection, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
