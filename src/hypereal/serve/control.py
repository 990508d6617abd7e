"""The control process: everything but the hot routes. `python -m hypereal.serve.control`, on a unix socket.

The data processes relay to it, so who asks is told by them alone (`x-forwarded-for`).
"""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hypereal import catalog, providers
from hypereal.accounts import KeyCache
from hypereal.catalog import Catalog, Model
from hypereal.gateway import FINAL_STATUSES
from hypereal.kit import clock, log, settings
from hypereal.kit.db import Database, Feed
from hypereal.kit.dialects import Dialect
from hypereal.kit.errors import HyperealError, InternalError, InvalidRequest, MethodNotAllowed, NotFound
from hypereal.ledger import Receiver
from hypereal.limits import RateLimiter
from hypereal.serve import background, openapi, operator_routes, tracing
from hypereal.serve.api import Door, told_of
from hypereal.serve.child import ProcessSpec, announce_ready, on_supervisor_gone, read_spec
from hypereal.serve.parts import ONE_BY_ONE, api_routes, link_routes, open_parts
from hypereal.wire import DIALECTS

TICK_S = 1.0
JOBS_DRAIN_S = 3.0
"""Open answers had their time to end before; a job that is stopped is gone on with by another process."""


class Control:
    """The composition of the control process."""

    def __init__(self, spec: ProcessSpec, read: settings.Settings) -> None:
        self._spec = spec
        self._settings = read
        self._database = Database(spec.database_url, connections_max=read.database.connections_max)
        self._feed = Feed(spec.database_url)
        self._parts = open_parts(self._database, read, spec.secret)
        self._parts.media.studio.waiters.listen(self._feed)
        self._engine = background.engine(self._parts, self._feed) if spec.runs_jobs else None
        self._catalog = _catalog(spec, read)
        self._api, self._links = api_routes(self._parts, self._find_model), link_routes(self._parts)
        self._bodies = Receiver(self._parts.bodies, spec.bodies_socket) if spec.bodies_socket else None
        self._traces = tracing.exporter(spec.traces_socket, read)
        self._door = Door(
            KeyCache(self._database, self._feed),
            RateLimiter(self._database, processes=ONE_BY_ONE),
            read.limits.requests_per_minute,
        )

    def app(self) -> Starlette:
        """The application."""
        operator = operator_routes.OperatorRoutes(self._spec, self._settings, self._database, self._dropped)
        return Starlette(
            routes=[
                Route("/healthz", operator.healthz),
                Route("/readyz", operator.readyz),
                Route("/metrics", operator.metrics),
                Route("/openapi.json", self._openapi),
                *self._door.routes(self._api),
                *self._door.link_routes(self._links),
            ],
            exception_handlers={HyperealError: _refuse, HTTPException: _refuse_http, Exception: _refuse_fault},
            lifespan=self._lifespan,
        )

    def reload(self) -> None:
        """SIGHUP: read the settings again; where they are wrong, the data processes say so."""
        with suppress(settings.BadSettings):
            self._settings = settings.load(self._spec.config_path, self._spec.overrides)
            self._catalog = _catalog(self._spec, self._settings)
            self._door.per_minute = self._settings.limits.requests_per_minute
            self._parts.reload(self._settings)

    def _dropped(self) -> dict[str, int]:
        """What was lost here, by what it is."""
        lost = {}
        if self._traces is not None:
            lost["spans"] = self._traces.dropped
        if self._bodies is not None:
            lost["bodies"] = self._bodies.dropped
        return lost

    def _find_model(self, name: str) -> Model | None:
        return self._catalog.find(name)

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        await self._database.open()
        self._feed.start()
        if self._traces is not None:
            self._traces.start()
        if self._bodies is not None:
            await self._bodies.start()
        ticking = asyncio.create_task(_tick())
        if self._engine is not None:
            self._engine.start()
        yield
        if self._engine is not None:
            await self._engine.stop(JOBS_DRAIN_S)
        ticking.cancel()
        if self._traces is not None:
            await self._traces.stop()
        if self._bodies is not None:
            await self._bodies.stop()
        await self._feed.stop()
        await self._parts.close()

    async def _openapi(self, _: Request) -> Response:
        return JSONResponse(openapi.document(self._api, self._links))


def _catalog(spec: ProcessSpec, read: settings.Settings) -> Catalog:
    known = providers.load(read.providers, os.environ, Path(spec.local_model_socket))
    dialects = {name: frozenset(provider.base_urls) for name, provider in known.items()}
    return catalog.load(read.models, dialects)


async def _tick() -> None:
    while True:
        clock.coarse.tick()
        await asyncio.sleep(TICK_S)


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, HyperealError)
    body = DIALECTS[Dialect.OPENAI_CHAT].error_body(error, request.headers.get("x-request-id", ""))
    headers = told_of(request) | error.headers
    if error.status in FINAL_STATUSES:
        headers["x-should-retry"] = "false"
    return Response(body, error.status, headers, "application/json")


async def _refuse_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    refusal: HyperealError
    match error.status_code:
        case 404:
            refusal = NotFound(
                f"No route {request.method} {request.url.path[:200]}. The API is under /v1; see /openapi.json."
            )
        case 405:
            refusal = MethodNotAllowed(f"{request.method} is not served here.", headers=dict(error.headers or {}))
        case _:
            refusal = InvalidRequest(error.detail)
            refusal.status = error.status_code
    return await _refuse(request, refusal)


async def _refuse_fault(request: Request, error: Exception) -> Response:
    request_id = request.headers.get("x-request-id", "")
    log.get("control").error("a request failed", path=request.url.path, request_id=request_id, exc_info=error)
    return await _refuse(request, InternalError("Something went wrong on our side."))


async def serve(spec: ProcessSpec, read: settings.Settings) -> None:
    """Serve until SIGTERM, or until the supervisor is gone."""
    control = Control(spec, read)
    config = uvicorn.Config(
        control.app(),
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=max(1, int(read.server.drain_s)),
        timeout_keep_alive=75,
    )
    server = _Server(config, spec)

    def stop() -> None:
        server.should_exit = True

    loop = asyncio.get_running_loop()
    on_supervisor_gone(loop, stop)
    loop.add_signal_handler(signal.SIGHUP, control.reload)
    await server.serve(sockets=[socket.socket(fileno=spec.listen_fd)])


class _Server(uvicorn.Server):
    """Tells the supervisor when it serves."""

    def __init__(self, config: uvicorn.Config, spec: ProcessSpec) -> None:
        super().__init__(config)
        self._spec = spec

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        announce_ready(self._spec)


def main() -> None:
    """The process."""
    spec = read_spec()
    log.configure(process=spec.name, level=spec.log_level, format=spec.log_format)
    read = settings.load(spec.config_path, spec.overrides)
    asyncio.run(serve(spec, read))


if __name__ == "__main__":
    main()
