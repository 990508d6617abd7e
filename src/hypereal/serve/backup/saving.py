"""Saving: every table in one snapshot, while servers go on serving."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

import hypereal
from hypereal.kit import db
from hypereal.kit.clock import utc_now
from hypereal.kit.settings import Settings
from hypereal.serve import folders
from hypereal.serve.backup import archive, store
from hypereal.serve.backup.archive import Manifest, Tell
from hypereal.serve.faults import CannotServe
from hypereal.serve.postgres import reach_database


async def save(settings: Settings, path: Path, tell: Tell) -> Manifest:
    """Write all that another installation needs to serve in place of this one to PATH. What was written.

    The schema may be of any revision. Raises CannotServe, OSError, and one of UNREACHABLE.
    """
    folders.check_secret(settings)
    if not settings.database.url and not (settings.server.data_dir / "postgres").exists():
        raise CannotServe(f"There is no database in {settings.server.data_dir}: nothing to save.")
    async with reach_database(settings, "backup") as url:
        secret = settings.server.secret or folders.existing_secret(settings.server.data_dir)
        try:
            with archive.created(path) as writer:
                async with _snapshot(url) as connection:
                    manifest = await _save(connection, writer, secret, tell)
                writer.finish(manifest)
                return manifest
        except (asyncpg.UndefinedTableError, asyncpg.LockNotAvailableError) as error:
            raise CannotServe(f"The tables are being changed ({error}). Nothing was saved; try again.") from None


@asynccontextmanager
async def _snapshot(url: str) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    """A connection on which every query sees the same moment.

    Cut where the block fails: asyncpg waits for ever after a COPY whose rows could not be taken.
    """
    connection = await asyncpg.connect(url, timeout=db.CONNECT_S_MAX)
    try:
        await connection.transaction(isolation="repeatable_read", readonly=True).start()
        await store.begin(connection)
        yield connection
        await connection.close(timeout=5)
    finally:
        connection.terminate()


async def _save(
    connection: "asyncpg.Connection[asyncpg.Record]", writer: archive.Writer, secret: str | None, tell: Tell
) -> Manifest:
    taken_at = utc_now()
    revision = await store.read_revision(connection)
    if revision is None:
        raise CannotServe("The database has no tables yet: nothing to save.")
    listed = await store.list_tables(connection)
    await store.hold_tables(connection, listed)
    partitions = await store.list_partitions(connection)
    return Manifest(
        version=hypereal.__version__,
        revision=revision,
        cluster_id=await store.read_cluster_id(connection),
        taken_at=taken_at,
        postgres=str(await store.read_version(connection)),
        partitions=tuple(archive.Partition(name=n, parent=p, bound=b) for n, p, b in partitions),
        tables=tuple([await _save_table(connection, writer, table, tell) for table in listed]),
        sequences=tuple(
            archive.Sequence(name=name, last_value=last, is_called=is_called)
            for name, last, is_called in await store.list_sequences(connection)
        ),
        secret=None if secret is None else _save_secret(writer, secret),
    )


async def _save_table(
    connection: "asyncpg.Connection[asyncpg.Record]", writer: archive.Writer, table: store.Listed, tell: Tell
) -> archive.Table:
    with writer.part(f"tables/{table.name}") as part:

        async def take(rows: bytes) -> None:
            part.write(rows)
            tell(f"Saving {table.name}, {part.size_bytes // 1024**2} MiB")

        done = await connection.copy_from_query(table.query, output=take, format="binary", timeout=None)
    return archive.Table(name=table.name, columns=table.columns, rows=int(done.split()[-1]), part=part.written)


def _save_secret(writer: archive.Writer, secret: str) -> archive.Part:
    with writer.part(archive.SECRET) as part:
        part.write(secret.encode())
    return part.written
