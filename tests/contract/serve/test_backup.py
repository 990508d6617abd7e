"""Backups over databases of the operator's own: what is refused, and that a refusal changes nothing."""

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
from tests.support.database import Server

from hypereal import accounts, ledger
from hypereal.kit.db import Database
from hypereal.kit.ids import AccountId
from hypereal.kit.settings import DatabaseSection, Settings
from hypereal.kit.settings import Server as ServerSection
from hypereal.migrations import upgrading
from hypereal.serve import backup, migrate
from hypereal.serve.backup import archive, store
from hypereal.serve.faults import CannotServe

SECRET = "0123456789abcdef" * 2


OLD_ROWS = """
    INSERT INTO accounts (id, kind, name) VALUES ('acc_old', 'person', 'old');
    INSERT INTO users (id, account_id, email) VALUES ('usr_old', 'acc_old', 'old@example.com');
    INSERT INTO keys (id, owner_id, name, hash, hint, scopes)
    VALUES ('key_old', 'acc_old', 'k', 'h', 'hint', '{inference}');
    INSERT INTO pools (id, owner_id, kind, funded, used) VALUES ('acc_old', 'acc_old', 'wallet', 500000000, 3000000);
    INSERT INTO entries (debit_pool, credit_pool, amount, kind, source, source_id)
    VALUES ('house/gifts', 'acc_old', 500000000, 'gift', 'test', '1'),
        ('acc_old', 'house/revenue', 3000000, 'charge', 'batch', '1:1:acc_old');
    INSERT INTO usage VALUES ('req_old', '2026-01-01 00:00Z', 'acc_old', 'key_old', 'messages', 'anthropic_messages',
        'm', 'p', 't', 200, NULL, false, 1, 5, 10, '', NULL, 1, 0, 0, 0, 1, 0, 0, false, 3000000, 3000000, 0);
"""
"""Of a database at revision 0002."""


def quiet(_: str) -> None:
    """Shows nothing."""


def settings_of(url: str, folder: Path, secret: str | None = SECRET) -> Settings:
    return Settings(server=ServerSection(data_dir=folder, secret=secret), database=DatabaseSection(url=url))


@pytest.fixture
def other_url(database_server: Server) -> Iterator[str]:
    """A second database."""
    url = database_server.create()
    yield url
    database_server.drop(url)


async def execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(statement)
    await connection.close()


async def everything(url: str) -> dict[str, list[str]]:
    """All rows of a database as text, by table."""
    connection = await asyncpg.connect(url)
    rows = {}
    for table in await store.list_tables(connection):
        found = await connection.fetch(f"SELECT t::text AS row FROM {table.name} t ORDER BY 1")
        rows[table.name] = [row["row"] for row in found]
    await connection.close()
    return rows


async def fill(url: str) -> None:
    """Somebody with a key, credits, and a process that leases some."""
    database = Database(url)
    await database.open()
    user = await accounts.create_user(database, "ada@example.com")
    await accounts.create_key(database, user.account_id, accounts.KeyTerms())
    credit = ledger.Credit(amount=500_000_000, source="test", source_id="1")
    await ledger.add_credits(database, user.account_id, credit)
    async with database.transaction() as connection:
        number = await connection.fetchval(
            "INSERT INTO processes (instance_id, pid, boot_id, live_until) VALUES ('i', 1, '', now()) RETURNING id"
        )
        await connection.execute("INSERT INTO leases VALUES ($1, $2, 7000, 0)", number, user.account_id)
        await connection.execute("UPDATE pools SET leased = 7000 WHERE id = $1", user.account_id)
        await connection.execute("INSERT INTO rate_windows VALUES ($1, 1, 1)", user.account_id)
    assert await ledger.audit(database) == []
    await database.close()


@pytest.fixture
async def saved(database_url: str, tmp_path: Path) -> Path:
    """A backup of a database with something in it."""
    await fill(database_url)
    await backup.save(settings_of(database_url, tmp_path), tmp_path / "saved.zip", quiet)
    return tmp_path / "saved.zip"


async def test_what_was_saved_is_there_again_row_by_row(
    saved: Path, database_url: str, other_url: str, tmp_path: Path
) -> None:
    before = await everything(database_url)
    restored = await backup.restore(settings_of(other_url, tmp_path), saved, quiet)
    after = await everything(other_url)
    assert restored.processes_closed == 1
    for table in before.keys() - {"cluster", "processes", "leases", "pools"}:
        assert after[table] == before[table], table
    assert after["leases"] == []
    assert after["cluster"] != before["cluster"]
    assert ",closed," in after["processes"][0]
    database = Database(other_url)
    await database.open()
    assert await ledger.audit(database) == []
    user = await accounts.find_user(database, "ada@example.com")
    assert user is not None
    balance = await ledger.balance(database, user.account_id)
    assert balance.ledger == balance.free == 500_000_000
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM rate_windows") == 0
        assert await connection.fetchval("SELECT count(*) FROM pg_trigger WHERE tgenabled = 'D'") == 0
    await database.close()


async def test_an_older_schema_is_saved_as_it_is_and_brought_up_to_this_version(
    database_url: str, other_url: str, tmp_path: Path
) -> None:
    await execute(database_url, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    async with upgrading.transaction(database_url) as transaction:
        await upgrading.upgrade(transaction, "0002")
    await execute(database_url, OLD_ROWS)
    saved = await backup.save(settings_of(database_url, tmp_path), tmp_path / "old.zip", quiet)
    assert saved.revision == "0002"
    restored = await backup.restore(settings_of(other_url, tmp_path), tmp_path / "old.zip", quiet)
    assert restored.revision == migrate.newest()
    assert await migrate.is_current(other_url)
    before, after = await everything(database_url), await everything(other_url)
    assert after["users"] == before["users"]
    assert len(after["keys"]) == len(after["usage"]) == 1
    database = Database(other_url)
    await database.open()
    assert await ledger.audit(database) == []
    assert (await ledger.balance(database, AccountId("acc_old"))).ledger == 497_000_000
    await database.close()


async def refused(settings: Settings, file: Path, says: str, **options: Any) -> None:
    """A restore ends with a message and leaves the database as it is."""
    assert settings.database.url is not None
    before = await everything(settings.database.url)
    with pytest.raises(CannotServe, match=says):
        await backup.restore(settings, file, quiet, **options)
    assert await everything(settings.database.url) == before


async def test_a_database_with_users_is_replaced_only_by_force(
    saved: Path, database_url: str, other_url: str, tmp_path: Path
) -> None:
    await fill(other_url)
    await execute(other_url, "INSERT INTO accounts (id, kind, name) VALUES ('acc_other', 'person', 'other')")
    await refused(settings_of(other_url, tmp_path), saved, "1 rows of users.*--force")
    restored = await backup.restore(settings_of(other_url, tmp_path), saved, quiet, force=True)
    assert restored.replaced is not None
    assert restored.replaced["users"] == 1
    assert (await everything(other_url))["accounts"] == (await everything(database_url))["accounts"]


async def test_force_does_not_reach_a_database_that_is_served_or_is_not_ours(
    saved: Path, other_url: str, tmp_path: Path
) -> None:
    live = "INSERT INTO processes (instance_id, pid, boot_id, live_until) VALUES ('i', 1, '', now() + interval '1 h')"
    await execute(other_url, live)
    await refused(settings_of(other_url, tmp_path), saved, "1 data processes serve this database", force=True)
    await execute(other_url, "DROP SCHEMA public CASCADE; CREATE SCHEMA public; CREATE TABLE invoices (id int)")
    await refused(settings_of(other_url, tmp_path), saved, r"something else \(invoices\)", force=True)


async def test_another_secret_is_refused_since_nothing_could_be_opened_with_it(
    saved: Path, other_url: str, tmp_path: Path
) -> None:
    await refused(settings_of(other_url, tmp_path, "another secret of 32 characters!"), saved, "unzip -p")
    await refused(settings_of(other_url, tmp_path, None), saved, "unzip -p")


def test_a_file_that_changed_is_refused_or_means_the_same(saved: Path, tmp_path: Path) -> None:
    whole = saved.read_bytes()
    bent = tmp_path / "bent.zip"
    with archive.opened(saved) as reader:
        manifest = reader.manifest
    refusals = 0
    for at in range(0, len(whole), 5):
        bent.write_bytes(whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :])
        try:
            with archive.opened(bent) as reader:
                reader.check(quiet)
                assert reader.manifest == manifest
        except CannotServe:
            refusals += 1
    assert refusals > len(whole) // 5 // 2


def rewritten(file: Path, change: Callable[[dict[str, Any]], None], *, without: str = "") -> Path:
    """FILE with another manifest, as a careful liar would write it."""
    new = file.with_name("rewritten.zip")
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(new, "w") as writing:
        for name in old.namelist():
            content = old.read(name)
            if name == archive.MANIFEST:
                manifest = msgspec.json.decode(content)
                change(manifest)
                content = msgspec.json.encode(manifest)
            if name != without:
                writing.writestr(name, content)
    return new


@pytest.mark.parametrize(
    ("change", "without", "says"),
    [
        (lambda manifest: manifest.update(revision="9999"), "", "at revision 9999"),
        (lambda manifest: manifest.update(format=2), "", "format that this one does not know"),
        (lambda manifest: None, "tables/keys", "lacks a part"),
        (lambda manifest: None, "secret", "lacks a part"),
        (lambda manifest: manifest["tables"][0].update(rows=77), "", "other rows than were saved"),
        (lambda manifest: manifest["tables"][0].update(name="nowhere"), "", "does not know: nowhere"),
        (lambda manifest: manifest["tables"][0].update(columns=["id"]), "", "cannot be restored here"),
        (lambda manifest: manifest["sequences"][0].update(name="nowhere"), "", "cannot be restored here"),
        (
            lambda manifest: manifest["partitions"].append(
                {"name": "p", "parent": "usage", "bound": "DEFAULT; DROP TABLE usage"}
            ),
            "",
            "no bound of a partition",
        ),
    ],
    ids=["revision", "format", "part", "secret", "rows", "table", "columns", "sequence", "bound"],
)
async def test_what_does_not_fit_is_refused_and_changes_nothing(
    change: Callable[[dict[str, Any]], None], without: str, says: str, saved: Path, other_url: str, tmp_path: Path
) -> None:
    await fill(other_url)
    await refused(settings_of(other_url, tmp_path), rewritten(saved, change, without=without), says, force=True)


async def test_other_files_and_parts_of_one_are_no_backups(saved: Path, other_url: str, tmp_path: Path) -> None:
    whole = saved.read_bytes()
    parts = [whole[:length] for length in (1, 100, len(whole) // 2, len(whole) - 1)]
    for content in (b"", b"hello", b"PK\x05\x06" + bytes(18), *parts):
        (tmp_path / "other").write_bytes(content)
        await refused(settings_of(other_url, tmp_path), tmp_path / "other", "is not a whole backup")
    with pytest.raises(FileNotFoundError):
        await backup.restore(settings_of(other_url, tmp_path), tmp_path / "nowhere", quiet)


async def test_a_backup_that_fails_leaves_the_former_one_and_nothing_else(
    saved: Path, database_url: str, tmp_path: Path
) -> None:
    former = saved.read_bytes()
    names = set(tmp_path.iterdir())

    def fail(_: str) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        await backup.save(settings_of(database_url, tmp_path), saved, fail)
    assert saved.read_bytes() == former
    assert set(tmp_path.iterdir()) == names


async def test_pieces_of_a_table_are_made_before_their_rows_come(database_url: str, other_url: str) -> None:
    days = """
        CREATE TABLE days (at timestamptz NOT NULL, kind text) PARTITION BY RANGE (at);
        CREATE TABLE days_default PARTITION OF days DEFAULT;
    """
    await execute(database_url, days)
    await execute(
        database_url,
        "CREATE TABLE days_26 PARTITION OF days FOR VALUES FROM ('2026-11-26 00:00Z') TO ('2026-11-27 00:00Z')",
    )
    await execute(other_url, days)
    one, other = await asyncpg.connect(database_url), await asyncpg.connect(other_url)
    pieces = await store.list_partitions(one)
    assert [piece[:2] for piece in pieces if piece[1] == "days"] == [("days_26", "days"), ("days_default", "days")]
    for piece in pieces:
        await store.make_partition(other, *piece)
    assert await store.list_partitions(other) == pieces
    assert "days" in {table.name for table in await store.list_tables(one)}
    assert "days_26" not in {table.name for table in await store.list_tables(one)}
    await one.close()
    await other.close()


async def test_everything_of_ours_is_dropped_and_nothing_of_an_extension(database_url: str) -> None:
    await execute(database_url, "CREATE EXTENSION citext; CREATE TYPE hue AS ENUM ('red'); CREATE DOMAIN age AS int")
    connection = await asyncpg.connect(database_url)
    await store.drop_everything(connection)
    left = """
        SELECT count(*) FROM (
            SELECT oid FROM pg_class UNION ALL SELECT oid FROM pg_proc UNION ALL SELECT oid FROM pg_type
        ) o WHERE o.oid >= 16384 AND NOT EXISTS (
            SELECT FROM pg_depend d WHERE d.objid = o.oid AND d.deptype IN ('e', 'i'))
    """
    assert await connection.fetchval(left) == 0
    assert await connection.fetchval("SELECT 'A'::citext = 'a'::citext")
    await connection.close()
