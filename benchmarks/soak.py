"""Ten minutes at half load: whether memory grows, and whether every call was settled.

    python benchmarks/soak.py                       ten minutes
    python benchmarks/soak.py --minutes 1           a quick look

The load is that of `json1k` and `sse_burst` in turn, from wrk at half the rate that the server reached before. Resident
memory is read every few seconds, without files that are mapped: the spool's, of 16 MB, fills and is let go all the
time. Its slope is that of the least squares over all but the first fifth, in which pools and caches fill. At the end
the usage log must hold as many settled calls as were answered, and `hypereal audit` agree.

Needs gcc and wrk.
"""

import argparse
import asyncio
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from hypereal.cli.database import opened
from hypereal.kit import settings
from servers import HERE, HYPEREAL, Gateway, hypereal, memory_mb, upstream

CONNECTIONS = 32
READ_S = 2.0
SLOPE_MB_AN_HOUR_MAX = 6.0
"""What counts as none: 1 MB in the ten minutes, since an allocator is never quite still."""
SETTLED_S_MAX = 10.0
SETTLED = "SELECT count(*) FROM usage WHERE status = 200 AND charged > 0"


class Memory(threading.Thread):
    """Reads the resident memory of a gateway's processes until told to stop."""

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(daemon=True)
        self.began_s = time.monotonic()
        self.readings: dict[str, list[tuple[float, float]]] = {part: [] for part in gateway.parts}
        self._parts = gateway.parts
        self._stopped = threading.Event()

    def run(self) -> None:
        while not self._stopped.wait(READ_S):
            for part, pid in self._parts.items():
                self.readings[part].append((time.monotonic() - self.began_s, memory_mb(pid, "RssAnon")))

    def stop(self) -> None:
        self._stopped.set()
        self.join()

    def slope_mb_an_hour(self, part: str) -> float:
        """Of the least squares over all but the first fifth."""
        readings = self.readings[part]
        seconds, mb = zip(*readings[len(readings) // 5 :], strict=True)
        return statistics.linear_regression(seconds, mb).slope * 3600


def main() -> int:
    """Run it; the exit code says whether memory was still and every call settled."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    options = parser.parse_args()
    for tool in ("gcc", "wrk"):
        if shutil.which(tool) is None:
            print(f"{tool} is needed: apt-get install gcc wrk", file=sys.stderr)
            return 2
    run_dir = Path(tempfile.mkdtemp(prefix="hypereal-soak-"))
    run_dir.chmod(0o755)
    try:
        with upstream((0,), run_dir) as port, hypereal("soak", port, run_dir) as gateway:
            return soak(gateway, run_dir / "soak", options.minutes * 60)
    finally:
        shutil.rmtree(run_dir, ignore_errors=True)


def soak(gateway: Gateway, data_dir: Path, seconds: float) -> int:
    """Load GATEWAY for so long; report."""
    answered = 0
    full: dict[bool, float] = {}
    for stream in (False, True):
        calls, _ = load(gateway, stream=stream, seconds=5, pause_ms=0)
        answered, full[stream] = answered + calls, calls / 5
    memory = Memory(gateway)
    memory.start()
    errors, loaded_s = 0, 0.0
    while loaded_s < seconds:
        for stream in (False, True):
            pause_ms = round(CONNECTIONS / (full[stream] / 2) * 1000)
            calls, failed = load(gateway, stream=stream, seconds=15, pause_ms=pause_ms)
            answered, errors, loaded_s = answered + calls, errors + failed, loaded_s + 15
    memory.stop()
    settled = asyncio.run(settled_calls(data_dir, answered))
    audit = subprocess.run([str(HYPEREAL), "audit"], env=environment(data_dir), capture_output=True, text=True)
    return report(memory, answered, errors, settled, audit)


def load(gateway: Gateway, *, stream: bool, seconds: int, pause_ms: int) -> tuple[int, int]:
    """Calls answered and errors of one slice, with a pause of each connection between calls."""
    known = {"SIZE": "1024", "STREAM": str(int(stream)), "MODEL": "gpt-5", "KEY": gateway.key, "PAUSE": str(pause_ms)}
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "20s", "-s", str(HERE / "chat.lua")]
    command += [f"http://127.0.0.1:{gateway.port}"]
    environ = {"PATH": os.environ["PATH"], **known}
    out = subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout
    facts = {k: int(v) for k, _, v in (word.partition("=") for word in out.split("RESULT ")[1].split())}
    return facts["reqs"], facts["errs"] + facts["non2xx"]


async def settled_calls(data_dir: Path, wanted: int) -> int:
    """Calls answered with 200 and charged, by the usage log; waited for until there are WANTED."""
    read = settings.load(None, {"server": {"data_dir": str(data_dir)}})
    deadline = time.monotonic() + SETTLED_S_MAX
    async with opened(read, "soak") as database:
        while True:
            async with database.connection() as connection:
                count: int = await connection.fetchval(SETTLED)
            if count >= wanted or time.monotonic() > deadline:
                return count
            await asyncio.sleep(0.5)


def environment(data_dir: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(data_dir), "HYPEREAL_DATA_DIR": str(data_dir)}


def report(memory: Memory, answered: int, errors: int, settled: int, audit: "subprocess.CompletedProcess[str]") -> int:
    """Print the table for benchmarks/README.md; the exit code."""
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release().split('-')[0]}"
    print(f"{machine}, Python {platform.python_version()}\n")
    print("| process | memory first, MB | last | slope, MB an hour |\n|---|---|---|---|")
    for part, readings in memory.readings.items():
        print(f"| {part} | {readings[0][1]:.1f} | {readings[-1][1]:.1f} | {memory.slope_mb_an_hour(part):+.2f} |")
    print(f"\ncalls answered {answered}, errors {errors}, settled {settled}; audit: {audit.stdout.strip()}")
    is_still = memory.slope_mb_an_hour("data") <= SLOPE_MB_AN_HOUR_MAX
    return 0 if is_still and not errors and settled >= answered and audit.returncode == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
