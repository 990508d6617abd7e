"""A data process: the hot routes. `python -m hypereal.serve.data`, started by the supervisor with a listening socket.

Nothing that it imports may load a web framework, an ORM or anything else that takes CPU from streams.
"""

import asyncio
import gc
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import msgspec
import uvloop

from hypereal import catalog, providers
from hypereal.accounts import KeyCache
from hypereal.conversations import Conversations
from hypereal.gateway import Plane, Recording, Routing, Traces
from hypereal.kit import log, settings
from hypereal.kit.db import Database, Feed
from hypereal.kit.money import MICRO_PER_CREDIT, Micro
from hypereal.ledger import Ledger, Terms
from hypereal.limits import RateLimiter
from hypereal.net import Address, Connection, Pool, turn
from hypereal.serve.child import ProcessSpec, announce_ready, on_supervisor_gone, read_spec

SWEEP_S = 1.0
IDLE_S = 3.0
"""By then a draining process has closed every idle connection (net.server.DRAINING_S, to the next sweep)."""
DRAIN_POLL_S = 0.05
YOUNG_OBJECTS_MAX = 20_000
"""Until the collector looks at them. Calls leave no cycles, so at 700 it only walks over those in progress, often."""

MakeLedger = Callable[..., Ledger]


class DataProcess:
    """The composition of one data process, and its life."""

    def __init__(self, spec: ProcessSpec, make_ledger: MakeLedger = Ledger) -> None:
        self._spec = spec
        self._settings = settings.load(spec.config_path, spec.overrides)
        self._database = Database(spec.database_url, connections_max=self._settings.database.connections_max)
        self._feed = Feed(spec.database_url)
        self._make_ledger = make_ledger
        self._stop = asyncio.Event()
        self._snapshot_file = Path(spec.run_dir) / f"metrics-{spec.name}.json"
        self._prices = catalog.PriceCache(self._database, self._feed, self._reprice)
        self._catalog: catalog.Catalog
        """As the files say."""
        self._plane: Plane

    async def run(self) -> None:
        """Serve until told to stop, then drain."""
        loop = asyncio.get_running_loop()
        await self._database.open()
        ledger = self._make_ledger(self._database, self._feed, _terms(self._settings, self._spec.instance_id))
        await ledger.open()
        control = Pool(Address(path=self._spec.control_socket))
        keys = KeyCache(self._database, self._feed)
        limiter = RateLimiter(self._database, processes=self._settings.server.workers)
        conversations = Conversations(self._database, self._spec.secret)
        plane = self._plane = Plane(
            self._database, keys, ledger, limiter=limiter, conversations=conversations, control=control
        )
        plane.recording = Recording(self._spec.bodies_socket)
        await self._prices.open()
        if self._spec.traces_socket:
            plane.traces = Traces(self._spec.traces_socket)
        self._configure()
        self._feed.start()
        turn.join(loop, before_send=ledger.write_down)
        listener = socket.socket(fileno=self._spec.listen_fd)
        server = await loop.create_server(lambda: Connection(plane, loop), sock=listener, backlog=1024)
        sweeper = loop.create_task(self._sweep())
        self._watch_signals(loop)
        gc.collect()
        gc.freeze()
        gc.set_threshold(YOUNG_OBJECTS_MAX, 20, 20)
        self._write_snapshot()  # so that `/readyz` knows of this process from the start
        announce_ready(self._spec)
        await self._stop.wait()
        server.close()
        await self._drain(self._settings.server.drain_s)
        turn.leave()
        sweeper.cancel()
        await self._prices.close()
        if plane.traces is not None:
            plane.traces.close()
        await plane.recording.close()
        await conversations.close()
        await ledger.close()
        await self._feed.stop()
        await self._database.close()
        self._snapshot_file.unlink(missing_ok=True)

    def _configure(self) -> None:
        """Build what an operator can change: catalog, providers, limits."""
        known = providers.load(self._settings.providers, os.environ, Path(self._spec.local_model_socket))
        dialects = {name: frozenset(provider.base_urls) for name, provider in known.items()}
        self._catalog = catalog.load(self._settings.models, dialects)
        priced = self._catalog.repriced(self._prices.in_force())
        self._plane.configure(self._settings, priced, Routing(known, self._plane.pools))

    def _reprice(self) -> None:
        """Other prices are in force: calls from now on take these."""
        self._plane.configure(self._settings, self._catalog.repriced(self._prices.in_force()), self._plane.routing)

    def _reload(self) -> None:
        """SIGHUP: read the settings again; where they are wrong, say so and keep the old ones."""
        try:
            self._settings = settings.load(self._spec.config_path, self._spec.overrides)
            self._configure()
        except settings.BadSettings as error:
            log.get("serve").error("settings not reloaded", error=str(error))
        else:
            log.get("serve").info("settings reloaded")

    def _watch_signals(self, loop: asyncio.AbstractEventLoop) -> None:
        def stop() -> None:
            if self._stop.is_set():
                os._exit(1)  # the second time: at once
            self._stop.set()

        loop.add_signal_handler(signal.SIGTERM, stop)
        loop.add_signal_handler(signal.SIGINT, lambda: None)  # a terminal sends it to all; the supervisor decides
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        on_supervisor_gone(loop, self._stop.set)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            self._plane.sweep()
            self._write_snapshot()

    def _write_snapshot(self) -> None:
        new = self._snapshot_file.with_suffix(".new")
        try:
            new.write_bytes(msgspec.json.encode(self._plane.snapshot(self._spec.name)))
            new.replace(self._snapshot_file)
        except OSError as error:
            log.get("serve").warning("no snapshot of the metrics", error=str(error))

    async def _drain(self, drain_s: float) -> None:
        """Let open calls end, at most DRAIN_S; idle connections are told that this is the end of them."""
        plane = self._plane
        plane.is_draining = True
        loop = asyncio.get_running_loop()
        began = loop.time()
        while loop.time() - began < drain_s and plane.connections:
            if loop.time() - began >= IDLE_S and not plane.calls_open:
                break
            await asyncio.sleep(DRAIN_POLL_S)
        for connection in list(plane.connections):
            connection.transport.abort()
        plane.pools.close()
        await asyncio.sleep(0)


def _terms(given: settings.Settings, instance_id: str) -> Terms:
    return Terms(
        instance_id=instance_id,
        balance_min=Micro(given.ledger.minimum_balance_credits * MICRO_PER_CREDIT),
        spool_dir=given.spool_dir,
        lease_offline_s=given.ledger.lease_offline_s,
        waits_for_commit=given.ledger.durability == "database",
    )


def main(make_ledger: MakeLedger = Ledger) -> None:
    """The process."""
    spec = read_spec()
    log.configure(process=spec.name, level=spec.log_level, format=spec.log_format)
    uvloop.run(DataProcess(spec, make_ledger).run())


if __name__ == "__main__":
    main()
