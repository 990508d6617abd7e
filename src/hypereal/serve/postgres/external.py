"""The operator's own PostgreSQL: nothing is started, it only has to answer and be new enough."""

import asyncpg

from hypereal.kit import db
from hypereal.serve.faults import CannotServe

MAJOR_MIN = 15


async def check_external(url: str) -> None:
    """See that the server at URL answers and is PostgreSQL 15 or newer. Raises CannotServe."""
    try:
        connection = await asyncpg.connect(url, timeout=db.CONNECT_S_MAX)
    except (*db.UNREACHABLE, asyncpg.PostgresError, ValueError) as error:
        raise CannotServe(
            f"The database of HYPEREAL_DATABASE_URL does not let us in: {error or type(error).__name__}. "
            "Check the address, the user and that it runs."
        ) from None
    try:
        major = connection.get_server_version().major
    finally:
        await connection.close(timeout=5)
    if major < MAJOR_MIN:
        raise CannotServe(f"The database is PostgreSQL {major}; {MAJOR_MIN} or newer is needed.")
