"""A child that runs only while somebody uses it: started by the first connection, it ends itself when idle."""

import asyncio
from collections.abc import Awaitable, Callable

from hypereal.kit import log
from hypereal.serve.faults import CannotServe
from hypereal.serve.process import ChildProcess
from hypereal.serve.restarts import Restarts


class OnDemand:
    """Runs CHILD. Connections wait in its listener's queue while it starts; after too many crashes it is started only
    to tell the callers so.
    """

    def __init__(
        self,
        child: ChildProcess,
        restarts: Restarts | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.child = child
        self._restarts = restarts or Restarts()
        self._sleep = sleep

    async def run(self) -> None:
        """Serve until cancelled."""
        failure = ""
        while True:
            await self._connection()
            try:
                await self.child.start(failure=failure)
                code = await self.child.wait()
            except CannotServe:
                code = -1
            failure = ""
            if code == 0:
                continue
            delay_s = self._restarts.crashed()
            name = self.child.spec.name
            log.get("supervisor").warning("a process ended", name=name, code=code, delay_s=delay_s)
            if delay_s is None:
                failure = f"{name} crashed too often; the server's log says why."
            else:
                await self._sleep(delay_s)

    async def _connection(self) -> None:
        loop = asyncio.get_running_loop()
        waiting = asyncio.Event()
        loop.add_reader(self.child.spec.listen_fd, waiting.set)
        try:
            await waiting.wait()
        finally:
            loop.remove_reader(self.child.spec.listen_fd)
