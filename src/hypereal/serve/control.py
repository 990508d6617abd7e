"""The control process: everything but the hot routes. `python -m hypereal.serve.control`, on a unix socket.

The data processes relay to it, so who asks is told by them alone (`x-forwarded-for`).
"""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hypereal.conversations import keep_swept
from hypereal.kit import log, settings
from hypereal.kit.db import Database
from hypereal.kit.dialects import Dialect
from hypereal.kit.errors import HyperealError, InternalError, InvalidRequest, MethodNotAllowed, NotFound
from hypereal.serve import openapi, operator_routes
from hypereal.serve.child import ProcessSpec, announce_ready, on_supervisor_gone, read_spec
from hypereal.wire import DIALECTS


def build(spec: ProcessSpec, read: settings.Settings) -> Starlette:
    """The application."""
    database = Database(spec.database_url, connections_max=read.database.connections_max)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await database.open()
        sweeper = asyncio.create_task(keep_swept(database))
        yield
        sweeper.cancel()
        await asyncio.gather(sweeper, return_exceptions=True)
        await database.close()

    operator = operator_routes.OperatorRoutes(spec, read, database)
    return Starlette(
        routes=[
            Route("/healthz", operator.healthz),
            Route("/readyz", operator.readyz),
            Route("/metrics", operator.metrics),
            Route("/openapi.json", _openapi),
        ],
        exception_handlers={HyperealError: _refuse, HTTPException: _refuse_http, Exception: _refuse_fault},
        lifespan=lifespan,
    )


async def _openapi(_: Request) -> Response:
    return JSONResponse(openapi.document())


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, HyperealError)
    body = DIALECTS[Dialect.OPENAI_CHAT].error_body(error, request.headers.get("x-request-id", ""))
    return Response(body, error.status, error.headers, "application/json")


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
    log.get("control").error("a request failed", path=request.url.path, exc_info=error)
    return await _refuse(request, InternalError("Something went wrong on our side."))


async def serve(spec: ProcessSpec, read: settings.Settings) -> None:
    """Serve until SIGTERM, or until the supervisor is gone."""
    config = uvicorn.Config(
        build(spec, read),
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
    loop.add_signal_handler(signal.SIGHUP, lambda: None)  # it serves by nothing that a reload changes
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
    read = settings.load(spec.config_path, spec.overrides)
    log.configure(process=spec.name, level=read.server.log_level)
    asyncio.run(serve(spec, read))


if __name__ == "__main__":
    main()
