"""One request and its whole answer, for ordinary asyncio code beside the calls: what a process asks for itself."""

import asyncio

from hypereal.net.pool import Pool
from hypereal.net.roles import UpstreamLost


class _Asker:
    """A `Caller` that only waits for the answer."""

    def __init__(self) -> None:
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def wake(self) -> None:
        if not self.answered.done():
            self.answered.set_result(None)

    def fail(self, why: Exception) -> None:
        if not self.answered.done():
            self.answered.set_exception(why)


async def exchange(pool: Pool, head: bytes, body: bytes, *, seconds_max: float) -> tuple[int, bytes]:
    """Send HEAD (complete) and BODY over a new connection of POOL; the status and body of the answer.

    A stream of events counts as an empty answer. Raises UpstreamLost, also after SECONDS_MAX.
    """
    upstream = await pool.connect()
    try:
        async with asyncio.timeout(seconds_max):
            asker = _Asker()
            upstream.send(asker, head, body)
            await asker.answered
    except TimeoutError:
        raise UpstreamLost(f"no answer of {pool.address} within {seconds_max:.0f} s", is_timeout=True) from None
    else:
        assert upstream.head is not None
        return upstream.head.status, upstream.whole()
    finally:
        upstream.give_back()
