"""The child: loads the model, serves it on the inherited socket, ends when idle or when the supervisor is gone."""

import asyncio
import os
import resource
import socket
import sys
from pathlib import Path

import uvicorn

from hypereal.kit import log
from hypereal.serve import child
from hypereal.serve.local_model.engine import NOT_INSTALLED, Engine, NotInstalled
from hypereal.serve.local_model.front import application
from hypereal.serve.local_model.queue import Queue

NICENESS = 10
ADDRESSES_BYTES_MAX = 2 * 1024**3
"""Address space, of which some 200 MB are used. Past it, an allocation fails and the supervisor starts us again."""
IDLE_S_MAX = 600.0
FAILED_S_MAX = 60.0
POLL_S = 1.0
DRAIN_S_MAX = 30
CONNECTIONS_MAX = 256


async def serve(spec: child.ProcessSpec) -> None:
    """Serve until there was nothing to do for ten minutes, or until told to stop."""
    engine, failure = None, spec.failure
    if not failure:
        try:
            engine = Engine(Path(spec.run_dir) / "engine.sock")
        except NotInstalled:
            failure = NOT_INSTALLED
    queue = Queue()
    config = uvicorn.Config(
        application(engine, failure, queue),
        lifespan="off",
        log_config=None,
        access_log=False,
        limit_concurrency=CONNECTIONS_MAX,
        timeout_graceful_shutdown=DRAIN_S_MAX,
    )
    server = uvicorn.Server(config)

    def stop() -> None:
        server.should_exit = True

    loop = asyncio.get_running_loop()
    child.on_supervisor_gone(loop, stop)
    serving = loop.create_task(server.serve(sockets=[socket.socket(fileno=spec.listen_fd)]))
    child.announce_ready(spec)
    while queue.idle_s < (FAILED_S_MAX if spec.failure else IDLE_S_MAX) and not serving.done():
        await asyncio.wait({serving}, timeout=POLL_S)
    stop()
    await serving


def main() -> None:
    """Be the child."""
    spec = child.read_spec()
    log.configure(process=spec.name, level=spec.log_level, format=spec.log_format)
    os.nice(NICENESS)
    os.umask(0o077)
    if sys.platform.startswith("linux"):
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES_BYTES_MAX, ADDRESSES_BYTES_MAX))
    asyncio.run(serve(spec))


if __name__ == "__main__":
    main()
