"""CPU per call of Hypereal beside nginx's `proxy_pass` and the bare upstream, all up together, in one run.

    make bench                          every scenario, 5 rounds
    make bench BENCH="--rounds 1 --scenarios json1k,sse_burst"

The gateways get the load in turn, in slices of a second or two, so a ratio compares neighbours in time. CPU is the run
time of all threads of a process tree by the kernel's own account, divided by the calls that it finished; the data
process, the control process and PostgreSQL are read apart. A line with errors counts for nothing.

Needs gcc, nginx and wrk.
"""

import argparse
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
HYPEREAL = Path(sys.executable).parent / "hypereal"
MODEL = "gpt-5"
CREDITS = 1_000_000_000
UPSTREAMS = {"burst": 0, "paced": 2000}
"""Name -> microseconds between the events of a stream."""


@dataclass(frozen=True)
class Scenario:
    """One load: its request, and the upstream that answers it."""

    upstream: str
    body_bytes: int
    stream: bool
    connections: int
    seconds: int = 1


SCENARIOS = {
    "json1k": Scenario("burst", 1024, False, 32),
    "json20k": Scenario("burst", 20480, False, 32),
    "json200k": Scenario("burst", 204800, False, 16),
    "sse_burst": Scenario("burst", 1024, True, 32),
    "sse_paced": Scenario("paced", 1024, True, 64, 2),
    "lat1": Scenario("burst", 1024, False, 1),
}
GATES = {
    "hypereal": {"json1k": 5.0, "json200k": 5.0, "sse_paced": 2.2, "sse_burst": 5.0},
    "without money": {"json1k": 3.0, "json200k": 3.6, "sse_paced": 1.6, "sse_burst": 3.6},
}
"""The most that CPU per call may be, as a ratio to nginx's."""


@dataclass
class Gateway:
    """Something that the load can be sent to. `parts` are the processes that are read apart; the first is the one."""

    name: str
    port: int
    parts: dict[str, int] = field(default_factory=dict)
    key: str = "sk-none"


@dataclass
class Slice:
    """What one slice of load showed. Times in microseconds."""

    calls: int
    cpu_us: dict[str, float]
    p50_us: int
    p99_us: int
    errors: int
    memory_mb: float


def main() -> int:
    """Run the scenarios; the exit code says whether every gate held."""
    options = arguments()
    for tool in ("gcc", "nginx", "wrk"):
        if shutil.which(tool) is None:
            print(f"{tool} is needed: apt-get install gcc nginx-light wrk", file=sys.stderr)
            return 2
    names = options.scenarios.split(",")
    run_dir = Path(tempfile.mkdtemp(prefix="hypereal-bench-"))
    run_dir.chmod(0o755)
    results: dict[str, dict[str, list[Slice]]] = {}
    try:
        for upstream, gap_us in UPSTREAMS.items():
            chosen = {name: SCENARIOS[name] for name in names if SCENARIOS[name].upstream == upstream}
            if chosen:
                results |= measure(chosen, gap_us, run_dir / upstream, options)
    finally:
        shutil.rmtree(run_dir, ignore_errors=True)
    held = report(results)
    if options.json:
        print(json.dumps({name: {g: [vars(s) for s in v] for g, v in r.items()} for name, r in results.items()}))
    return 0 if held else 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenarios", default=",".join(SCENARIOS), help="comma-separated: " + ", ".join(SCENARIOS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=1, help="multiplies the length of every slice")
    parser.add_argument("--json", action="store_true", help="print every slice as JSON too")
    return parser.parse_args()


def measure(
    chosen: dict[str, Scenario], gap_us: int, run_dir: Path, options: argparse.Namespace
) -> dict[str, dict[str, list[Slice]]]:
    """Every gateway over one upstream: scenario -> gateway -> slices, one a round."""
    run_dir.mkdir()
    run_dir.chmod(0o755)
    results: dict[str, dict[str, list[Slice]]] = {name: {} for name in chosen}
    with ExitStack() as stack:
        port = stack.enter_context(upstream(gap_us, run_dir))
        proxy = stack.enter_context(nginx(port, run_dir))
        free = stack.enter_context(without_money(port, run_dir))
        whole = stack.enter_context(hypereal("hypereal", port, run_dir, []))
        gateways = [Gateway("direct", port), proxy, free, whole]
        for gateway in gateways:
            load(gateway, Scenario("", 1024, False, 8), 1)
        for name, scenario in chosen.items():
            if scenario.stream:
                for gateway in gateways:
                    load(gateway, scenario, 1)
            for _ in range(options.rounds):
                for gateway in gateways:
                    seconds = scenario.seconds * options.seconds
                    results[name].setdefault(gateway.name, []).append(load(gateway, scenario, seconds))
            show(name, results[name])
    return results


def load(gateway: Gateway, scenario: Scenario, seconds: int) -> Slice:
    """One slice of load from wrk."""
    environment = {
        "PATH": os.environ["PATH"],
        "SIZE": str(scenario.body_bytes),
        "STREAM": str(int(scenario.stream)),
        "MODEL": MODEL,
        "KEY": gateway.key,
    }
    command = ["wrk", "-t1", f"-c{scenario.connections}", f"-d{seconds}s", "--timeout", "20s"]
    command += ["-s", str(HERE / "chat.lua"), f"http://127.0.0.1:{gateway.port}"]
    before = {part: cpu_s(pid) for part, pid in gateway.parts.items()}
    out = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    time.sleep(0.05)
    facts = {k: int(v) for k, _, v in (word.partition("=") for word in out.split("RESULT ")[1].split())}
    calls = max(1, facts["reqs"])
    return Slice(
        calls=facts["reqs"],
        cpu_us={part: (cpu_s(pid) - before[part]) / calls * 1e6 for part, pid in gateway.parts.items()},
        p50_us=facts["p50"],
        p99_us=facts["p99"],
        errors=facts["errs"] + facts["non2xx"],
        memory_mb=next((memory_mb(pid) for pid in gateway.parts.values()), 0.0),
    )


# -- what is measured ------------------------------------------------------------------------------------------------


@contextmanager
def upstream(gap_us: int, run_dir: Path) -> Iterator[int]:
    """The stub that answers at once, or streams an event every GAP_US."""
    program = run_dir / "stub"
    subprocess.run(["gcc", "-O2", "-w", "-o", str(program), str(HERE / "stub.c")], check=True)
    port = free_port()
    with process([str(program), str(port), str(gap_us)], run_dir / "stub.log", port):
        yield port


@contextmanager
def nginx(upstream_port: int, run_dir: Path) -> Iterator[Gateway]:
    port = free_port()
    for folder in ("cb", "pt", "ft", "ut", "st"):
        (run_dir / folder).mkdir()
    text = (HERE / "nginx.conf.in").read_text()
    for name, value in {"UPPORT": upstream_port, "GWPORT": port, "RUNDIR": run_dir}.items():
        text = text.replace(name, str(value))
    config = run_dir / "nginx.conf"
    config.write_text(text)
    with process(["nginx", "-c", str(config)], run_dir / "nginx.log", port) as started:
        yield Gateway("nginx", port, {"nginx": started.pid})


@contextmanager
def hypereal(name: str, upstream_port: int, run_dir: Path, command: list[str]) -> Iterator[Gateway]:
    """A server as an operator starts it, its upstream the stub, its rate limit raised; a key with credit enough."""
    port, data_dir = free_port(), run_dir / name.replace(" ", "-")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(run_dir),
        "OPENAI_API_KEY": "sk-upstream",
        "OPENAI_BASE_URL": f"http://127.0.0.1:{upstream_port}/v1",
        "HYPEREAL_DATA_DIR": str(data_dir),
        "HYPEREAL_LIMITS__REQUESTS_PER_MINUTE": "1000000000",
        "HYPEREAL_SERVER__LOG_LEVEL": "warning",
    }
    serve = [*(command or [str(HYPEREAL)]), "serve", "--port", str(port)]
    status = data_dir / "run" / "supervisor.json"
    with process(serve, run_dir / f"{data_dir.name}.log", port, environment) as started:
        wait_for(status.exists, started)
        made = subprocess.run(
            [str(HYPEREAL), "keys", "create", "--email", "bench@example.com", "--credits", str(CREDITS), "--json"],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        children = json.loads(status.read_text())["children"]
        postgres = int((data_dir / "postgres" / "postmaster.pid").read_text().split()[0])
        parts = {"data": children["data-0"], "control": children["control"], "postgres": postgres}
        yield Gateway(name, port, parts, json.loads(made.stdout)["key"])


@contextmanager
def without_money(upstream_port: int, run_dir: Path) -> Iterator[Gateway]:
    """The same with holds, settlements and usage rows switched off, which no setting can do."""
    command = [sys.executable, str(HERE / "without_money.py")]
    with hypereal("without money", upstream_port, run_dir, command) as gateway:
        yield gateway


# -- processes -------------------------------------------------------------------------------------------------------


@contextmanager
def process(
    command: list[str], log: Path, port: int, environment: dict[str, str] | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """COMMAND, from when PORT answers until the end of the block."""
    with log.open("wb") as out:
        started = subprocess.Popen(command, stdout=out, stderr=out, env=environment, start_new_session=True)
    try:
        try:
            wait_for(lambda: answers(port), started)
        except RuntimeError:
            raise RuntimeError(f"{command[0]} did not start:\n{log.read_text()[-2000:]}") from None
        yield started
    finally:
        started.terminate()
        try:
            started.wait(20)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


def wait_for(is_so: Callable[[], bool], started: "subprocess.Popen[bytes]") -> None:
    """Until IS_SO, at most 90 s. Raises RuntimeError after that, or where STARTED ends first."""
    deadline = time.monotonic() + 90
    while not is_so():
        if started.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("it did not start")
        time.sleep(0.05)


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def tree(pid: int) -> list[int]:
    """PID and all that descends from it."""
    found = [pid]
    for parent in found:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            found += [int(child) for child in children.read_text().split()]
    return found


def cpu_s(pid: int) -> float:
    """Seconds of run time of all threads of a process tree (the first figure of schedstat, in nanoseconds)."""
    total_ns = 0
    for member in tree(pid):
        for stat in Path(f"/proc/{member}/task").glob("*/schedstat"):
            try:
                total_ns += int(stat.read_text().split()[0])
            except OSError:
                continue
    return total_ns / 1e9


def memory_mb(pid: int) -> float:
    """Resident memory of one process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


# -- the report ------------------------------------------------------------------------------------------------------


def show(name: str, slices: dict[str, list[Slice]]) -> None:
    """A line a gateway, as soon as its scenario is over."""
    for gateway, rounds in slices.items():
        cpu = " ".join(f"{part} {median_cpu(rounds, part):.0f}" for part in rounds[0].cpu_us)
        ratio = ratio_to_nginx(slices, gateway)
        print(
            f"{name:10} {gateway:14} {f'x{ratio:.2f} nginx' if ratio else '':13} "
            f"p50 {statistics.median(s.p50_us for s in rounds):6.0f} us  "
            f"p99 {statistics.median(s.p99_us for s in rounds):6.0f} us  "
            f"calls {sum(s.calls for s in rounds):7}  errors {sum(s.errors for s in rounds)}  "
            f"memory {rounds[-1].memory_mb:.0f} MB  CPU us a call: {cpu}",
            flush=True,
        )


def median_cpu(rounds: list[Slice], part: str) -> float:
    return statistics.median(s.cpu_us[part] for s in rounds)


def ratio_to_nginx(slices: dict[str, list[Slice]], gateway: str) -> float | None:
    """The median over the rounds of CPU per call, the data process's where there are several, against nginx's."""
    if gateway in ("direct", "nginx"):
        return None
    pairs = zip(slices[gateway], slices["nginx"], strict=True)
    return statistics.median(ours.cpu_us["data"] / proxy.cpu_us["nginx"] for ours, proxy in pairs)


def report(results: dict[str, dict[str, list[Slice]]]) -> bool:
    """The table for benchmarks/README.md; True where every gate held."""
    held = True
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release().split('-')[0]}"
    print(f"\n{machine}, Python {platform.python_version()}")
    print("\n| scenario | nginx, us | without money | gate | with money | gate | PostgreSQL, us | errors |")
    print("|---|---|---|---|---|---|---|---|")
    for name, slices in results.items():
        cells = [name, f"{median_cpu(slices['nginx'], 'nginx'):.0f}"]
        for gateway in ("without money", "hypereal"):
            ratio, gate = ratio_to_nginx(slices, gateway), GATES[gateway].get(name)
            assert ratio is not None
            holds = gate is None or ratio <= gate
            held &= holds
            cells += [f"{median_cpu(slices[gateway], 'data'):.0f} us, {ratio:.2f}x{'' if holds else ' (over)'}"]
            cells += [f"{gate}x" if gate else "-"]
        errors = sum(s.errors for rounds in slices.values() for s in rounds)
        held &= errors == 0
        cells += [f"{median_cpu(slices['hypereal'], 'postgres'):.0f}", str(errors)]
        print("| " + " | ".join(cells) + " |")
    if "lat1" in results:
        direct = statistics.median(s.p50_us for s in results["lat1"]["direct"])
        added = {g: statistics.median(s.p50_us for s in r) - direct for g, r in results["lat1"].items()}
        print("\nadded p50 of one connection over direct: " + ", ".join(f"{g} {us:.0f} us" for g, us in added.items()))
    peak = max((s.memory_mb for slices in results.values() for s in slices["hypereal"]), default=0.0)
    print(f"memory of the data process at its most: {peak:.0f} MB (bound: 120 MB)")
    return held and peak <= 120


if __name__ == "__main__":
    sys.exit(main())
