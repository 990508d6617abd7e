"""Two places for bytes, and one suite over both."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from tests.support.buckets import S3Server, section_of

from hypereal.accounts import create_user
from hypereal.kit.db import Database
from hypereal.kit.ids import AccountId, new_id
from hypereal.storage import Storage, open_storage

SECRET = "0123456789abcdef" * 2


@pytest.fixture(params=["disk", "s3"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


OpenStorage = Callable[..., Storage]


@pytest_asyncio.fixture
async def open_one(kind: str, database: Database, s3_server: S3Server, tmp_path: Path) -> AsyncIterator[OpenStorage]:
    """Opens a storage with other settings; each is another process, or another host where FOLDER says so."""
    opened = []

    def open_with(folder: Path = tmp_path, **changes: object) -> Storage:
        opened.append(open_storage(database, section_of(kind, s3_server, **changes), folder, SECRET))
        return opened[-1]

    yield open_with
    for one in opened:
        await one.bucket.close()


@pytest.fixture
def storage(open_one: OpenStorage) -> Storage:
    return open_one()


@pytest.fixture
def new_owner(database: Database) -> Callable[[], Awaitable[AccountId]]:
    async def make() -> AccountId:
        return (await create_user(database, f"{new_id('u')}@example.com")).account_id

    return make


@pytest_asyncio.fixture
async def owner_id(new_owner: Callable[[], Awaitable[AccountId]]) -> AccountId:
    return await new_owner()
