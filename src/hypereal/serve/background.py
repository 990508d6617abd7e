"""What is done aside: the jobs and schedules of all capabilities, for the control process and for `hypereal worker`."""

import asyncio
import signal

from hypereal import jobs
from hypereal.accounts import worker as accounts
from hypereal.conversations import worker as conversations
from hypereal.gateway.media import worker as media
from hypereal.jobs import worker as queue
from hypereal.kit.db import Database, Feed
from hypereal.kit.settings import Settings
from hypereal.ledger import worker as ledger
from hypereal.serve.parts import Parts, open_parts
from hypereal.storage import worker as storage
from hypereal.webhooks import worker as webhooks

HANDLERS = (*accounts.HANDLERS,)
SCHEDULES = (*conversations.SCHEDULES, *ledger.SCHEDULES, *queue.SCHEDULES, *webhooks.SCHEDULES)


def engine(parts: Parts, feed: Feed) -> jobs.Engine:
    """An engine that knows every kind of job. FEED must not be started yet."""
    context = jobs.Context(database=parts.database, settings=parts.settings)
    handlers = (*HANDLERS, *webhooks.handlers(parts.webhooks), *parts.media.handlers())
    schedules = (*SCHEDULES, *storage.schedules(parts.storage), *media.schedules(parts.media.studio))
    return jobs.Engine(context, feed, handlers, schedules)


async def work(url: str, settings: Settings, secret: str) -> None:
    """Run jobs, and nothing else, until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    database, feed = Database(url, connections_max=settings.database.connections_max), Feed(url)
    parts = open_parts(database, settings, secret)
    await database.open()
    worker = engine(parts, feed)
    feed.start()
    worker.start()
    await stop.wait()
    await worker.stop(settings.server.drain_s)
    await feed.stop()
    await parts.close()
