"""What the supervisor and its children agree on: the spec, the word that one is ready, and the life-line.

A child is started with its spec as one line of JSON on standard input, which then stays open: its end means that the
supervisor is gone, and the child drains and exits. SIGTERM drains, a second SIGTERM ends at once, SIGHUP reloads the
settings. A child writes one byte to `ready_fd` when it serves; until then the supervisor sends it no SIGHUP.
"""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from hypereal.kit import log

SPEC_BYTES_MAX = 1024 * 1024
LIFE_LINE = 0
"""Standard input."""


class ProcessSpec(msgspec.Struct, frozen=True, kw_only=True):
    """All that a child is told. It reads the settings itself: `kit.settings.load(spec.config_path, spec.overrides)`."""

    name: str
    """'data-0', 'control', 'local'; stands in every line of its log."""
    slot: int = 0
    """The number of a data process, from 0."""
    listen_fd: int
    """Inherited, bound, listening, not blocking."""
    ready_fd: int
    database_url: str = ""
    instance_id: str
    """Names this installation: random, kept in the data folder."""
    boot_id: str
    """Names this run of the machine; '' where the system does not tell."""
    secret: str = ""
    """What is kept for customers is encrypted with it, and links are signed."""
    runs_jobs: bool = True
    """For the control process: whether it runs the jobs too."""
    config: str | None
    overrides: dict[str, dict[str, Any]]
    run_dir: str
    """Where the sockets are. Not always below the data folder: see `folders.socket_folder`."""
    control_socket: str
    traces_socket: str = ""
    """Where data processes tell of calls, and the control process hears of them; '' where nobody wants traces."""
    bodies_socket: str = ""
    """The same of bodies of calls; '' where none are kept."""
    local_model_socket: str
    log_level: str = "info"
    log_format: log.Format = "auto"
    failure: str = ""
    """For the local model: why it is not to load its engine but only to say this."""

    @property
    def config_path(self) -> Path | None:
        return Path(self.config) if self.config else None


def read_spec() -> ProcessSpec:
    """The spec, from the first line of standard input. Raises msgspec.DecodeError where somebody else started us."""
    line = bytearray()
    while not line.endswith(b"\n") and len(line) <= SPEC_BYTES_MAX:
        read = os.read(LIFE_LINE, 65536)
        if not read:
            break
        line += read
    return msgspec.json.decode(line, type=ProcessSpec)


def announce_ready(spec: ProcessSpec) -> None:
    """Tell the supervisor that this process serves. Once."""
    os.write(spec.ready_fd, b"+")
    os.close(spec.ready_fd)


def on_supervisor_gone(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    """Call CALLBACK once when the supervisor has ended, however it did."""

    def readable() -> None:
        if not os.read(LIFE_LINE, 4096):
            loop.remove_reader(LIFE_LINE)
            callback()

    loop.add_reader(LIFE_LINE, readable)
