"""How fast the request log is read and written once it is large: an embedded database filled with rows.

    python benchmarks/request_log.py                 5 million rows (some ten minutes, 3 GB below TMPDIR)
    python benchmarks/request_log.py --rows 200000

A third of the rows is one owner's, over 30 days, who has 20 keys; each key calls two of 12 models and has an app. Each
figure is the middle of nine, after one that is not counted, since it reads from the disk.
"""

import argparse
import asyncio
import itertools
import os
import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from pathlib import Path

from hypereal.kit.clock import utc_now
from hypereal.kit.db import Connection, Database
from hypereal.kit.ids import AccountId, KeyId
from hypereal.ledger.request_log import fold, reading, store, upkeep
from hypereal.ledger.request_log.reading import report
from hypereal.ledger.request_log.store import Match
from hypereal.serve import migrate
from hypereal.serve.postgres import EmbeddedPostgres

TIMES = 9
DAYS = 30
BATCH = 250_000
OWNER = AccountId("acc_0")
KEYS = [KeyId(f"key_{number}") for number in range(20)]
SUMS = ("hours", "days", "model_days", "words")
numbers = itertools.count(10**9, 1000)
"""Of rows that are written beside those of the fill."""

FILL = """
    INSERT INTO usage (request_id, started_at, owner_id, key_id, endpoint, dialect, model, provider, target, status,
        error_type, is_stream, attempts, first_byte_ms, duration_ms, client, input_tokens, cache_read_tokens,
        cache_write_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, web_searches, is_estimated, cost,
        charged, written_off, end_user, metadata, app, price_version, upstream_cost)
    SELECT 'req_' || lpad(to_hex(n), 24, '0'), $3::timestamptz - (n * $4::float8) * interval '1 second',
        'acc_' || CASE WHEN n % 3 = 0 THEN 0 ELSE n % 50 END, 'key_' || key, 'chat/completions', 'openai_chat',
        'model-' || (key + n % 2 * 5) % 12, 'openai', 'm',
        CASE WHEN n % 97 = 0 THEN 429 WHEN n % 101 = 0 THEN 502 ELSE 200 END,
        CASE WHEN n % 97 = 0 THEN 'rate_limit_error' END, n % 2 = 0, 1, 300 + n % 900, 900 + n % 4000,
        'OpenAI/Python 1.109.1', 500 + n % 3000, n % 500, 0, 0, 50 + n % 800, 0, 0, false, cost, cost, 0,
        'user-' || n % 5000, CASE WHEN n % 4 = 0 THEN jsonb_build_object('team', 't' || n % 9) END,
        CASE WHEN key % 2 = 0 THEN 'app-' || key % 3 END, 'p1', cost * 6 / 10
    FROM (
        SELECT n, n / 7 % 20 AS key, n * 104729 % 2000000 + 100 AS cost FROM generate_series($1::bigint, $2::bigint) n
    ) rows
"""


async def main() -> None:
    """Fill, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5_000_000)
    rows = parser.parse_args().rows
    folder = Path(tempfile.mkdtemp(prefix="hypereal-log-"))
    postgres = EmbeddedPostgres(folder)
    try:
        database = Database(await postgres.start())
        await asyncio.to_thread(migrate.up, database.url)
        await database.open()
        print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {rows:,} rows")
        await fill(database, rows)
        await measure(database)
        await database.close()
    finally:
        await postgres.stop()
        shutil.rmtree(folder)


async def fill(database: Database, rows: int) -> None:
    """Rows of 30 days, the deltas folded, and what autovacuum would have done by then."""
    today, began, deltas = utc_now(), time.monotonic(), 0
    for day in range(DAYS):
        async with database.transaction() as connection:
            await store.make_day(connection, (today - timedelta(days=day)).date())
    async with database.connection() as connection:
        await connection.execute("SET synchronous_commit = off")
        for first in range(0, rows, BATCH):
            last = min(first + BATCH, rows) - 1
            await connection.execute(FILL, first, last, today, (DAYS - 1) * 86_400 / rows, timeout=600)
            deltas += await fold(database)
    filled_s, began = time.monotonic() - began, time.monotonic()
    upkeep.LOOK_BACK_DAYS = DAYS
    while merged := await upkeep.merge_users(database):
        print(f"{merged:,} users of days merged")
    async with database.connection() as connection:
        await connection.execute("VACUUM ANALYZE", timeout=600)
        counts = [await connection.fetchval(f"SELECT count(*) FROM usage_{name}") for name in SUMS]  # noqa: S608
        size = await connection.fetchval("SELECT pg_size_pretty(pg_database_size(current_database()))")
    sums = ", ".join(f"{count:,} {name}" for name, count in zip(SUMS, counts, strict=True))
    print(f"filled in {filled_s:.0f} s; {deltas:,} deltas folded to {sums}; {size}")


async def measure(database: Database) -> None:
    """Every figure."""
    since, month = reading.since_of(DAYS), utc_now().date().replace(day=1)

    def match(**narrowed: object) -> Match:
        return Match(since=since, until=utc_now() + timedelta(days=1), **narrowed)  # type: ignore[arg-type]

    async def page(connection: Connection, **narrowed: object) -> None:
        assert await store.newest(connection, OWNER, match(**narrowed), reading.LAST, 51)

    async def middle(connection: Connection) -> None:
        place = reading.Place(started_at=utc_now() - timedelta(days=DAYS // 2), request_id="")
        assert len(await store.newest(connection, OWNER, match(), place, 51)) == 51

    of_model = match(model="model-3")
    async with database.connection() as connection:
        reads: Sequence[tuple[str, Callable[[], Awaitable[object]]]] = [
            ("first page", lambda: page(connection)),
            ("a page in the middle", lambda: middle(connection)),
            ("first page of a model", lambda: page(connection, model="model-3")),
            ("first page of failures", lambda: page(connection, status_least=400)),
            ("first page of one status", lambda: page(connection, status_least=502, status_most=502)),
            ("first page of a user", lambda: page(connection, end_user="user-3")),
            ("first page of a text", lambda: page(connection, text="rate_limit")),
            ("one request id", lambda: page(connection, request_id="req_" + f"{0:024x}")),
            ("sums: models, keys, apps, days", lambda: store.sums(connection, OWNER, match())),
            ("sums of a model", lambda: store.sums(connection, OWNER, match(model="model-3"))),
            ("ten dearest", lambda: store.dearest(connection, OWNER, match(), 10)),
            ("ten dearest of a model", lambda: store.dearest(connection, OWNER, match(model="model-3"), 10)),
            ("cost by user", lambda: store.by_word(connection, OWNER, match(), ("user", ""), 100)),
            ("cost by app", lambda: store.by_word(connection, OWNER, match(), ("app", ""), 100)),
            ("cost by provider of a model", lambda: store.by_word(connection, OWNER, of_model, ("provider", ""), 100)),
            ("cost by status", lambda: store.by_word(connection, OWNER, match(), ("status", ""), 100)),
            (
                "cost by user of a model, from rows",
                lambda: store.by_word(connection, OWNER, of_model, ("user", ""), 100),
            ),
            ("cost by tag, from rows", lambda: store.by_word(connection, OWNER, match(), ("", "team"), 100)),
            ("what 20 keys spent this month", lambda: store.spent(connection, OWNER, KEYS, month)),
            ("1,000 rows of the export", lambda: store.oldest(connection, OWNER, match(), reading.FIRST, 1000)),
            ("profit of all owners", lambda: store.profit(connection, since, utc_now())),
            (
                "all of /api/api-usage?by=user",
                lambda: report(database, OWNER, match(), before=None, limit=50, by="user"),
            ),
        ]
        for name, read in reads:
            print(f"{name:36} {await middle_ms(read):8.1f} ms")
        await connection.execute("SET synchronous_commit = off")
        for size in (1, 100):
            bare, summed = await write_ms(connection, size)
            print(f"{f'write {size} rows':36} {bare:8.2f} ms, with their sums {summed:.2f} ms")
    began = time.perf_counter()
    await upkeep.tend(database, upkeep.Retention(rows_days=DAYS - 5, hours_days=DAYS))
    print(f"{'drop the four oldest days':36} {(time.perf_counter() - began) * 1000:8.1f} ms")


async def middle_ms(read: Callable[[], Awaitable[object]]) -> float:
    """The middle of several."""
    times = []
    for _ in range(TIMES + 1):
        began = time.perf_counter()
        await read()
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times[1:])


async def write_ms(connection: Connection, size: int) -> tuple[float, float]:
    """Batches of SIZE rows without and with the trigger that sums them up: the middle of many, taken in turn."""
    fill = await connection.prepare(FILL)
    times: dict[str, list[float]] = {"DISABLE": [], "ENABLE": []}
    for _ in range(10):
        for state, taken in times.items():
            await connection.execute(f"ALTER TABLE usage {state} TRIGGER usage_written")
            for _ in range(40):
                first = next(numbers)
                began = time.perf_counter()
                await fill.fetch(first, first + size - 1, utc_now(), 0.0)
                taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(times["DISABLE"]), statistics.median(times["ENABLE"])


if __name__ == "__main__":
    asyncio.run(main())
