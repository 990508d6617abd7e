"""Migrations: all or nothing, and of several at once all but one wait."""

import asyncio
from urllib.parse import urlsplit

import asyncpg
import pytest

from hypereal.serve import migrate


async def test_migrated_database_is_current_and_migrating_again_changes_nothing(database_url):
    assert await migrate.is_current(database_url)
    await asyncio.to_thread(migrate.up, database_url)
    assert await migrate.is_current(database_url)


async def test_several_that_start_at_once_migrate_once(database_url):
    connection = await asyncpg.connect(database_url)
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    assert not await migrate.is_current(database_url)
    await asyncio.gather(*(asyncio.to_thread(migrate.up, database_url) for _ in range(3)))
    assert await migrate.is_current(database_url)
    assert await connection.fetchval("SELECT count(*) FROM cluster") == 1
    await connection.close()


async def test_database_that_is_not_there_says_so(database_url):
    with pytest.raises(migrate.MigrationFailed, match="does not exist"):
        await asyncio.to_thread(migrate.up, urlsplit(database_url)._replace(path="/nowhere").geturl())
