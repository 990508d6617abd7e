"""`python -m hypereal.migrations` brings the database at HYPEREAL_MIGRATE_URL up to the newest migration.

Start it through `serve/migrate.py`: Alembic and SQLAlchemy stay in this short-lived process.
"""

import asyncio
import os

from hypereal.migrations.upgrading import transaction, upgrade


async def main() -> None:
    """Migrate."""
    async with transaction(os.environ["HYPEREAL_MIGRATE_URL"]) as connection:
        await upgrade(connection)


asyncio.run(main())
