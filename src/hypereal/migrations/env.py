"""How Alembic reaches the database: over asyncpg, under a lock, so that two hosts that start at once take turns.

`serve/migrate.py` puts the URL into the configuration's attributes.
"""

import asyncio

import asyncpg
from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

LOCK = 0x48595045  # "HYPE": the advisory lock of migrations, held until the connection closes


def _migrate(connection: Connection) -> None:
    context.configure(connection=connection)
    with context.begin_transaction():
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        context.run_migrations()


async def _run(url: str) -> None:
    # asyncpg reads the URL itself: SQLAlchemy would refuse some forms of it (sslmode, socket folders).
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(url), poolclass=NullPool
    )
    async with engine.connect() as connection:
        await connection.run_sync(_migrate)
        await connection.commit()
    await engine.dispose()


asyncio.run(_run(context.config.attributes["url"]))
