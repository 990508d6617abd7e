"""The SQL of backups. It knows no table by name but what it must: tables, columns and keys are asked of the catalog.

Statements are put together by PostgreSQL (`format`, with names quoted), never here.
"""

import re
from collections.abc import Sequence

import msgspec

from hypereal.kit.db import Connection

VERSIONS = "alembic_version"


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A table with its columns, and the query for all its rows."""

    name: str
    columns: tuple[str, ...]
    query: str


async def begin(connection: Connection) -> None:
    """In a transaction: it is not cut short however long it takes, waits 10 s at most for others, and writes in UTC."""
    await connection.execute(
        """
        SET LOCAL statement_timeout = 0;
        SET LOCAL idle_in_transaction_session_timeout = 0;
        SET LOCAL lock_timeout = '10 s';
        SET LOCAL timezone = 'UTC';
        SET LOCAL datestyle = 'ISO'
        """
    )


async def list_tables(connection: Connection) -> list[Listed]:
    """The tables whose rows are to be kept: not what is unlogged, nor pieces, nor what belongs to an extension."""
    rows = await connection.fetch(
        """
        SELECT c.relname AS name, array_agg(a.attname::text ORDER BY a.attnum) AS columns,
            format('SELECT %s FROM %I.%I', string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum),
                current_schema(), c.relname) AS query
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            AND a.attgenerated = ''
        WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
            AND c.relpersistence = 'p' AND c.relname <> $1
            AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                AND d.deptype = 'e')
        GROUP BY c.relname ORDER BY c.relname
        """,
        VERSIONS,
    )
    return [Listed(name=row["name"], columns=tuple(row["columns"]), query=row["query"]) for row in rows]


async def hold_tables(connection: Connection, tables: Sequence[Listed]) -> None:
    """Until the transaction ends nobody drops or changes TABLES, their pieces included."""
    statement = await connection.fetchval(
        """
        SELECT 'LOCK TABLE ' || string_agg(format('%I.%I', current_schema(), name), ', ') || ' IN ACCESS SHARE MODE'
        FROM unnest($1::text[]) AS name
        """,
        [table.name for table in tables],
    )
    await connection.execute(statement)


async def list_partitions(connection: Connection) -> list[tuple[str, str, str]]:
    """(name, parent, bound) of every piece of a partitioned table."""
    rows = await connection.fetch(
        """
        SELECT c.relname, p.relname AS parent, pg_get_expr(c.relpartbound, c.oid) AS bound
        FROM pg_class c JOIN pg_inherits i ON i.inhrelid = c.oid JOIN pg_class p ON p.oid = i.inhparent
        WHERE c.relnamespace = current_schema()::regnamespace AND c.relispartition AND c.relkind = 'r'
        ORDER BY c.relname
        """
    )
    return [(row["relname"], row["parent"], row["bound"]) for row in rows]


async def list_sequences(connection: Connection) -> list[tuple[str, int, bool]]:
    """(name, last value, whether that was given) of every sequence. They know no snapshot: ask after the rows."""
    names = await connection.fetch(
        """
        SELECT c.relname AS name,
            format('SELECT last_value, is_called FROM %I.%I', current_schema(), c.relname) AS query
        FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'S' ORDER BY c.relname
        """
    )
    found = []
    for name, query in names:
        row = await connection.fetchrow(query)
        assert row is not None
        found.append((str(name), int(row["last_value"]), bool(row["is_called"])))
    return found


async def read_revision(connection: Connection) -> str | None:
    """The schema's revision; None where there is no schema of ours."""
    if await connection.fetchval("SELECT to_regclass(quote_ident(current_schema()) || '.alembic_version')") is None:
        return None
    revision: str | None = await connection.fetchval("SELECT version_num FROM alembic_version")
    return revision


async def read_version(connection: Connection) -> str:
    """PostgreSQL's version."""
    return str(await connection.fetchval("SHOW server_version"))


async def read_cluster_id(connection: Connection) -> str:
    """Which database this is."""
    return str(await connection.fetchval("SELECT id FROM cluster"))


async def count_rows(connection: Connection, tables: Sequence[Listed]) -> dict[str, int]:
    """How many rows TABLES have now."""
    counts = {}
    for table in tables:
        query = await connection.fetchval(
            "SELECT format('SELECT count(*) FROM %I.%I', current_schema(), $1::text)", table.name
        )
        counts[table.name] = int(await connection.fetchval(query))
    return counts


async def count_serving(connection: Connection) -> int:
    """Data processes that are live now, on whatever host."""
    count: int = await connection.fetchval(
        "SELECT count(*) FROM processes WHERE state = 'live' AND live_until > clock_timestamp()"
    )
    return count


async def drop_everything(connection: Connection) -> None:
    """Drop all tables, views, sequences, functions and types of the schema but those of extensions.

    What goes with another of them is not named: the sequence of an identity column cannot be dropped by itself.
    """
    statements = await connection.fetch(
        """
        SELECT format('DROP %s IF EXISTS %I.%I CASCADE', CASE relkind WHEN 'v' THEN 'VIEW'
            WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, current_schema(), relname)
        FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S')
            AND NOT EXISTS (
                SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = pg_class.oid
                    AND (d.deptype = 'e' OR (d.deptype = 'i' AND d.refobjid <> d.objid)))
        UNION ALL
        SELECT format('DROP ROUTINE IF EXISTS %s CASCADE', oid::regprocedure)
        FROM pg_proc WHERE pronamespace = current_schema()::regnamespace
            AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = pg_proc.oid
                AND d.deptype = 'e')
        UNION ALL
        SELECT format('DROP %s IF EXISTS %I.%I CASCADE', CASE typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END,
            current_schema(), typname)
        FROM pg_type WHERE typnamespace = current_schema()::regnamespace AND typtype IN ('e', 'd')
            AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_type'::regclass AND d.objid = pg_type.oid
                AND d.deptype = 'e')
        """
    )
    for (statement,) in statements:
        await connection.execute(statement)


async def list_references(connection: Connection) -> list[tuple[str, str]]:
    """(table, the one it refers to) of every foreign key."""
    rows = await connection.fetch(
        """
        SELECT DISTINCT child.relname, parent.relname AS parent FROM pg_constraint k
        JOIN pg_class child ON child.oid = k.conrelid JOIN pg_class parent ON parent.oid = k.confrelid
        WHERE k.contype = 'f' AND k.connamespace = current_schema()::regnamespace AND k.conrelid <> k.confrelid
        """
    )
    return [(row["relname"], row["parent"]) for row in rows]


async def empty_tables(connection: Connection, tables: Sequence[Listed]) -> None:
    """Delete what the migrations put into TABLES."""
    statement = await connection.fetchval(
        """
        SELECT 'TRUNCATE ' || string_agg(format('%I.%I', current_schema(), name), ', ')
        FROM unnest($1::text[]) AS name
        """,
        [table.name for table in tables],
    )
    await connection.execute(statement)


_VALUE = r"(?:'[^']*'|-?[0-9]+|MINVALUE|MAXVALUE|NULL|true|false)"
_VALUES = rf"\({_VALUE}(?:, {_VALUE})*\)"
_bound = re.compile(
    rf"DEFAULT|FOR VALUES (?:FROM {_VALUES} TO {_VALUES}|IN {_VALUES}|WITH \(modulus [0-9]+, remainder [0-9]+\))"
).fullmatch


async def make_partition(connection: Connection, name: str, parent: str, bound: str) -> None:
    """A piece NAME of PARENT where it is not there. Raises ValueError for a BOUND that PostgreSQL did not write."""
    if not _bound(bound):
        raise ValueError(f"no bound of a partition: {bound[:200]}")
    statement = await connection.fetchval(
        "SELECT format('CREATE TABLE IF NOT EXISTS %I.%I PARTITION OF %I.%I %s', s, $1::text, s, $2::text, $3::text) "
        "FROM current_schema() AS s",
        name,
        parent,
        bound,
    )
    await connection.execute(statement)


async def set_triggers(connection: Connection, table: str, *, is_on: bool) -> None:
    """Whether the triggers of TABLE run: what they did is among the rows already. Foreign keys are always checked."""
    statement = await connection.fetchval(
        "SELECT format('ALTER TABLE %I.%I %s TRIGGER USER', current_schema(), $1::text, $2::text)",
        table,
        "ENABLE" if is_on else "DISABLE",
    )
    await connection.execute(statement)


async def read_schema(connection: Connection) -> str:
    """The name of the schema that tables are in."""
    return str(await connection.fetchval("SELECT current_schema()"))


async def set_sequence(connection: Connection, name: str, last_value: int, is_called: bool) -> None:
    """NAME goes on after LAST_VALUE."""
    await connection.execute(
        "SELECT setval(format('%I.%I', current_schema(), $1::text)::regclass, $2, $3)", name, last_value, is_called
    )


async def become_another(connection: Connection) -> str:
    """Give this database a new id, so that nothing written for the one it was copied from is replayed into it."""
    return str(await connection.fetchval("UPDATE cluster SET id = gen_random_uuid() RETURNING id"))
