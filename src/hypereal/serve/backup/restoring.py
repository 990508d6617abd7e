"""Restoring: all of a backup in one transaction, or nothing of it.

What was restored is a database of its own, with an id of its own. The processes of the saved one go on (or have died)
elsewhere: here they are closed and what they leased is free again, and nothing that they still have to tell fits here.
"""

from collections.abc import AsyncIterator, Iterable
from graphlib import TopologicalSorter
from pathlib import Path

import asyncpg
import msgspec

from hypereal import ledger
from hypereal.kit.settings import Settings
from hypereal.migrations import upgrading
from hypereal.serve import folders, migrate
from hypereal.serve.backup import archive, store
from hypereal.serve.backup.archive import Manifest, Reader, Tell
from hypereal.serve.faults import CannotServe
from hypereal.serve.postgres import reach_database_alone

SHOWN = ("users", "keys", "usage")
"""The tables whose rows tell an operator what a database is."""


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What is there now."""

    manifest: Manifest
    revision: str
    cluster_id: str
    processes_closed: int
    replaced: dict[str, int] | None
    """Rows by table that were there before; None where the database was empty."""


class _Permission(msgspec.Struct, frozen=True, kw_only=True):
    is_shared: bool
    """Other hosts may serve the database; else the lock of the data folder says that nobody does."""
    force: bool


async def restore(settings: Settings, path: Path, tell: Tell, *, force: bool = False) -> Restored:
    """Make the database and the secret what the backup at PATH says. FORCE: also where there are users already.

    Raises CannotServe, OSError, and one of UNREACHABLE; then nothing was changed.
    """
    with archive.opened(path) as reader:
        _check_revision(path, reader.manifest)
        reader.check(tell)
        secret = reader.secret()
        _check_secret(settings, path, secret)
        async with reach_database_alone(settings, "restore") as url:
            try:
                restored = await _restore(
                    url, reader, tell, _Permission(is_shared=bool(settings.database.url), force=force)
                )
            except (asyncpg.PostgresError, ValueError) as error:
                raise CannotServe(f"{path} cannot be restored here: {error}. Nothing was changed.") from None
            if settings.server.secret is None and secret is not None:
                folders.write_whole(settings.server.data_dir / "secret", secret.encode())
        return restored


def _check_revision(path: Path, manifest: Manifest) -> None:
    if not migrate.knows(manifest.revision):
        raise CannotServe(
            f"{path} was made by hypereal {manifest.version} at revision {manifest.revision} of the tables, and this "
            f"one knows them up to {migrate.newest()}. Restore it with hypereal {manifest.version} or newer."
        )


def _check_secret(settings: Settings, path: Path, secret: str | None) -> None:
    """Where the operator gives the secret it must be the saved one, else what it encrypted would be lost."""
    if secret is None:
        return folders.check_secret(settings)
    if settings.server.secret not in ({secret} if settings.database.url else {secret, None}):
        raise CannotServe(
            f"What {path} holds was encrypted with another secret. Set [server] secret or HYPEREAL_SERVER__SECRET to "
            f"the one in it: `unzip -p {path} {archive.SECRET}` prints it."
        )


async def _restore(url: str, reader: Reader, tell: Tell, may: _Permission) -> Restored:
    async with upgrading.transaction(url) as transaction:
        connection = (await transaction.get_raw_connection()).driver_connection
        assert isinstance(connection, asyncpg.Connection)
        await store.begin(connection)
        replaced = await _clear(connection, reader.manifest, tell, may)
        tell("Making the tables")
        await upgrading.upgrade(transaction, reader.manifest.revision)
        await _load(connection, reader, tell)
        tell("Bringing the tables up to this version")
        await upgrading.upgrade(transaction)
        return Restored(
            manifest=reader.manifest,
            revision=migrate.newest(),
            cluster_id=await store.become_another(connection),
            processes_closed=await ledger.close_all(connection),
            replaced=replaced,
        )


async def _clear(
    connection: "asyncpg.Connection[asyncpg.Record]", manifest: Manifest, tell: Tell, may: _Permission
) -> dict[str, int] | None:
    """Drop what is there; its rows by table, None where there was nothing to lose. Raises CannotServe."""
    tell("Looking at what is there")
    tables = await store.list_tables(connection)
    if not tables:
        return None
    if "cluster" not in {table.name for table in tables}:
        names = ", ".join(table.name for table in tables[:5])
        raise CannotServe(f"The database holds tables of something else ({names}). Name an empty one.")
    if may.is_shared and (serving := await store.count_serving(connection)):
        raise CannotServe(
            f"{serving} data processes serve this database, or did within the last minute. Stop hypereal on every "
            "host, and try again in a minute."
        )
    rows = await store.count_rows(connection, tables)
    if not rows["users"]:
        await store.drop_everything(connection)
        return None
    if not may.force:
        shown = ", ".join(f"{rows[name]:,} rows of {name}" for name in SHOWN if name in rows)
        raise CannotServe(
            f"The database is not empty: {shown}. Nothing was changed. With --force all of it is replaced by what was "
            f"saved at {manifest.taken_at:%Y-%m-%d %H:%M:%S} UTC."
        )
    await store.drop_everything(connection)
    return rows


async def _load(connection: "asyncpg.Connection[asyncpg.Record]", reader: Reader, tell: Tell) -> None:
    """Put the saved rows, and nothing else, into the tables. Raises CannotServe, ValueError."""
    manifest = reader.manifest
    made = await store.list_tables(connection)
    saved = {table.name: table for table in manifest.tables}
    if unknown := saved.keys() - {table.name for table in made}:
        raise ValueError(f"it has tables that revision {manifest.revision} does not know: {', '.join(sorted(unknown))}")
    await store.empty_tables(connection, made)
    for partition in manifest.partitions:
        await store.make_partition(connection, partition.name, partition.parent, partition.bound)
    schema = await store.read_schema(connection)
    done_bytes = 0
    for name in _parents_first(saved, await store.list_references(connection)):
        table = saved[name]
        tell(f"Restoring {name}, {100 * done_bytes // max(1, manifest.size_bytes)} %")
        await store.set_triggers(connection, name, is_on=False)
        done = await connection.copy_to_table(
            name,
            source=_rows(reader, table),
            columns=list(table.columns),
            schema_name=schema,
            format="binary",
            timeout=None,
        )
        await store.set_triggers(connection, name, is_on=True)
        if int(done.split()[-1]) != table.rows:
            raise ValueError(f"{name} has other rows than were saved")
        done_bytes += table.part.size_bytes
    for sequence in manifest.sequences:
        await store.set_sequence(connection, sequence.name, sequence.last_value, sequence.is_called)


def _parents_first(tables: Iterable[str], references: list[tuple[str, str]]) -> list[str]:
    """TABLES in an order in which none comes before one that it refers to."""
    order: TopologicalSorter[str] = TopologicalSorter({name: () for name in tables})
    for name, parent in references:
        order.add(name, parent)
    return [name for name in order.static_order() if name in tables]


async def _rows(reader: Reader, table: archive.Table) -> AsyncIterator[bytes]:
    for chunk in reader.chunks(table.part):
        yield chunk
