"""Hypereal beside nginx's `proxy_pass` and the bare upstream, all up together, in one run: CPU per call, and delays.

    make bench                          every scenario, 5 rounds
    make bench BENCH="--rounds 1 --scenarios json1k,sse_burst"

The gateways get the load in turn, in slices of some seconds, so a ratio or a difference compares neighbours in time.
CPU is the run time of all threads of a process tree by the kernel's own account, divided by the calls that it finished;
the data process, the control process and PostgreSQL are read apart. A line with errors counts for nothing.

Needs gcc, nginx and wrk.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import failover
from servers import HERE, Gateway, compiled, compiled_hypereal, cpu_of, hypereal, litellm, memory_mb, nginx, upstream

MODEL = "gpt-5"
UPSTREAMS = {"burst": (0,), "paced": (2000,), "brief": (2000, 10, 600, 1), "held": (50_000, 100, 600, 1)}
"""Name -> options of the stub: microseconds between the events of a stream, events, size of a plain answer, stamps."""
FAILOVER = "failover"
MEMORY_MB_MAX = 120


@dataclass(frozen=True)
class Scenario:
    """One load: its request, and the upstream that answers it."""

    upstream: str
    body_bytes: int
    stream: bool
    connections: int
    seconds: int = 1
    """0: one stream of each connection."""
    rounds_max: int = 99
    contents: int = 0
    """Events with content in a stream. Given, the load comes from `streams.c`, which looks at each; else from wrk."""
    times: str = "first"
    """What the times of `streams.c` are: 'first', until a stream's first content; 'delay', an event's on its way."""


SCENARIOS = {
    "json1k": Scenario("burst", 1024, False, 32),
    "json20k": Scenario("burst", 20480, False, 32),
    "json200k": Scenario("burst", 204800, False, 16),
    "sse_burst": Scenario("burst", 1024, True, 32),
    "sse_paced": Scenario("paced", 1024, True, 64, 2),
    "lat1": Scenario("burst", 1024, False, 1),
    "first_burst": Scenario("burst", 1024, True, 1, contents=97),
    "first_paced": Scenario("brief", 1024, True, 1, 2, contents=7),
    "held512": Scenario("held", 1024, True, 512, 0, rounds_max=3, contents=97, times="delay"),
}
GATES = {
    "hypereal": {"json1k": 3.0, "json200k": 3.6, "sse_paced": 1.6, "sse_burst": 3.6},
    "without money": {"json1k": 3.0, "json200k": 3.6, "sse_paced": 1.6, "sse_burst": 3.6},
    "compiled": {"json1k": 2.5, "json200k": 2.8, "sse_paced": 1.5, "sse_burst": 2.5},
}
"""The most that CPU per call may be, as a ratio to nginx's."""
WORKERS_SCENARIOS = {"json1k", "sse_burst"}
WORKERS_TIMES_MIN = 1.8
"""How many times the calls of one data process two do with as much CPU each."""
PEERS = {"LiteLLM": 3}
"""How many times longer than others' its slices are, since it finishes few calls in a second."""
PEERS_SCENARIOS = {"json1k", "sse_burst"}
PEER_TIMES_MIN = {"json1k": 100.0}
"""How many times Hypereal's CPU per call, money on, a peer's must be."""


@dataclass(frozen=True)
class DelayGate:
    """The most that a percentile of times may be over direct's, for these gateways."""

    percentile: int
    most_us: int
    gateways: tuple[str, ...]

    def __str__(self) -> str:
        where = " without money" if self.gateways == ("without money",) else ""
        return f"p{self.percentile}{where}: {self.most_us / 1000:g} ms"


FIRST_BYTE = DelayGate(50, 150, ("without money",))
DELAYS = {
    "lat1": FIRST_BYTE,
    "first_burst": FIRST_BYTE,
    "first_paced": FIRST_BYTE,
    "held512": DelayGate(99, 5000, ("without money", "hypereal")),
}


@dataclass
class Slice:
    """What one slice of load showed. Times in microseconds."""

    calls: int
    cpu_us: dict[str, float]
    p50_us: int
    p99_us: int
    errors: int
    memory_mb: float
    load_cpu: int = 0
    """Percent of a core that `streams.c` used itself."""


Slices = dict[str, list[Slice]]
"""Gateway -> slices, one a round."""


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
    results: dict[str, Slices] = {}
    failed_over = None
    try:
        for kind, stub in UPSTREAMS.items():
            chosen = {name: SCENARIOS[name] for name in names if name != FAILOVER and SCENARIOS[name].upstream == kind}
            if chosen:
                results |= measure(chosen, stub, run_dir / kind, options)
        if FAILOVER in names:
            failed_over = failover.measure(options.rounds, run_dir / FAILOVER)
    finally:
        shutil.rmtree(run_dir, ignore_errors=True)
    held = report(results)
    if failed_over is not None:
        failover.report(failed_over)
        held &= failed_over.holds
    if options.json:
        print(json.dumps({name: {g: [vars(s) for s in v] for g, v in r.items()} for name, r in results.items()}))
    return 0 if held else 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    every = [*SCENARIOS, FAILOVER]
    parser.add_argument("--scenarios", default=",".join(every), help="comma-separated: " + ", ".join(every))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=1, help="multiplies the length of every slice")
    parser.add_argument("--peers", action="store_true", help="LiteLLM too, which is installed the first time")
    parser.add_argument("--compiled", action="store_true", help="the wheel that mypyc compiles too, money on")
    parser.add_argument("--workers", action="store_true", help="two data processes on one port too, money on")
    parser.add_argument("--json", action="store_true", help="print every slice as JSON too")
    return parser.parse_args()


def measure(
    chosen: dict[str, Scenario], stub: tuple[int, ...], run_dir: Path, options: argparse.Namespace
) -> dict[str, Slices]:
    """Every gateway over one upstream."""
    run_dir.mkdir()
    run_dir.chmod(0o755)
    results: dict[str, Slices] = {name: {} for name in chosen}
    with ExitStack() as stack:
        port = stack.enter_context(upstream(stub, run_dir))
        proxy = stack.enter_context(nginx(port, run_dir))
        free = stack.enter_context(hypereal("without money", port, run_dir, program="without_money.py"))
        whole = stack.enter_context(hypereal("hypereal", port, run_dir))
        gateways = [Gateway("direct", port), proxy, free, whole]
        if options.peers and PEERS_SCENARIOS & set(chosen):
            gateways.append(stack.enter_context(litellm(port, run_dir)))
        if options.compiled:
            gateways.append(stack.enter_context(hypereal("compiled", port, run_dir, command=compiled_hypereal())))
        if options.workers:
            gateways.append(stack.enter_context(hypereal("two workers", port, run_dir, workers=2)))
        streams = compiled("streams.c", run_dir)
        for gateway in gateways:
            load(gateway, Scenario("", 1024, False, 8), 1, streams)
        for name, scenario in chosen.items():
            if scenario.stream and scenario.seconds:
                for gateway in gateways:
                    if gateway.name not in PEERS:
                        load(gateway, scenario, 1, streams)
            for _ in range(min(options.rounds, scenario.rounds_max)):
                for gateway in gateways:
                    if gateway.name in PEERS and name not in PEERS_SCENARIOS:
                        continue
                    seconds = scenario.seconds * options.seconds * PEERS.get(gateway.name, 1)
                    results[name].setdefault(gateway.name, []).append(load(gateway, scenario, seconds, streams))
            show(name, results[name])
    return results


def load(gateway: Gateway, scenario: Scenario, seconds: int, streams: Path) -> Slice:
    """One slice of load, from wrk or from the program STREAMS."""
    before = cpu_of(gateway)
    out = load_of_events(gateway, scenario, seconds, streams) if scenario.contents else wrk(gateway, scenario, seconds)
    time.sleep(0.05)
    facts = {k: int(v) for k, _, v in (word.partition("=") for word in out.split("RESULT ")[1].split())}
    calls = max(1, facts["reqs"])
    times = scenario.times if scenario.contents else "p"
    errors = facts["errs"] + facts["non2xx"]
    return Slice(
        calls=facts["reqs"],
        cpu_us={part: (after - before[part]) / calls * 1e6 for part, after in cpu_of(gateway).items()},
        p50_us=facts[f"{times}50"],
        p99_us=facts[f"{times}99"],
        errors=errors + (connections(gateway, scenario) - facts["open"] if scenario.contents else 0),
        memory_mb=next((memory_mb(pid) for pid in gateway.parts.values()), 0.0),
        load_cpu=facts.get("cpu", 0),
    )


def connections(gateway: Gateway, scenario: Scenario) -> int:
    """As many a worker as one worker gets."""
    workers = 1 + len(gateway.twins)
    return scenario.connections * workers if scenario.connections > 1 else 1


def wrk(gateway: Gateway, scenario: Scenario, seconds: int) -> str:
    """What wrk prints after a slice of whole calls."""
    environment = {
        "PATH": os.environ["PATH"],
        "SIZE": str(scenario.body_bytes),
        "STREAM": str(int(scenario.stream)),
        "MODEL": MODEL,
        "KEY": gateway.key,
    }
    command = ["wrk", "-t1", f"-c{connections(gateway, scenario)}", f"-d{seconds}s", "--timeout", "20s"]
    command += ["-s", str(HERE / "chat.lua"), f"http://127.0.0.1:{gateway.port}"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def load_of_events(gateway: Gateway, scenario: Scenario, seconds: int, streams: Path) -> str:
    """What `streams.c` prints after a slice of streams. They begin 1 ms after each other."""
    said = {"role": "user", "content": ""}
    body = {"model": MODEL, "messages": [said], "temperature": 0.7, "max_tokens": 512, "stream": True}
    said["content"] = "x" * (scenario.body_bytes - len(json.dumps(body)))
    payload = json.dumps(body).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{gateway.port}\r\nContent-Type: application/json\r\n"
    head += f"Authorization: Bearer {gateway.key}\r\nContent-Length: {len(payload)}\r\n\r\n"
    many = connections(gateway, scenario)
    arguments = (gateway.port, many, seconds, many, scenario.contents)
    command = [str(streams), *(str(argument) for argument in arguments)]
    return subprocess.run(command, input=head.encode() + payload, capture_output=True, check=True).stdout.decode()


# -- the report ------------------------------------------------------------------------------------------------------


def show(name: str, slices: Slices) -> None:
    """A line a gateway, as soon as its scenario is over."""
    for gateway, rounds in slices.items():
        cpu = " ".join(f"{part} {median_cpu(rounds, part):.0f}" for part in rounds[0].cpu_us)
        ratio = ratio_to_nginx(slices, gateway)
        load_cpu = max(s.load_cpu for s in rounds)
        print(
            f"{name:11} {gateway:14} {f'x{ratio:.2f} nginx' if ratio else '':13} "
            f"p50 {statistics.median(s.p50_us for s in rounds):6.0f} us  "
            f"p99 {statistics.median(s.p99_us for s in rounds):6.0f} us  "
            f"calls {sum(s.calls for s in rounds):7}  errors {sum(s.errors for s in rounds)}  "
            f"memory {rounds[-1].memory_mb:.0f} MB  CPU us a call: {cpu}{f'  load: {load_cpu} %' if load_cpu else ''}",
            flush=True,
        )


def median_cpu(rounds: list[Slice], part: str) -> float:
    return statistics.median(s.cpu_us[part] for s in rounds)


def ratio_to_nginx(slices: Slices, gateway: str) -> float | None:
    """The median over the rounds of CPU per call, the data process's where there are several, against nginx's."""
    if gateway in ("direct", "nginx"):
        return None
    return ratio(slices, gateway, "nginx")


def ratio(slices: Slices, gateway: str, other: str) -> float:
    """The same of any two, of the process of each that does the work."""
    pairs = zip(slices[gateway], slices[other], strict=True)
    return statistics.median(next(iter(a.cpu_us.values())) / next(iter(b.cpu_us.values())) for a, b in pairs)


def added_us(slices: Slices, gateway: str, percentile: int) -> float:
    """The median over the rounds of a percentile of times, less direct's in the same round."""
    times = {name: [vars(s)[f"p{percentile}_us"] for s in slices[name]] for name in (gateway, "direct")}
    return statistics.median(ours - bare for ours, bare in zip(times[gateway], times["direct"], strict=True))


def report(results: dict[str, Slices]) -> bool:
    """The tables for benchmarks/README.md; True where every gate held."""
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release().split('-')[0]}"
    print(f"\n{machine}, Python {platform.python_version()}")
    held = report_cpu({name: slices for name, slices in results.items() if not SCENARIOS[name].contents})
    held &= report_compiled({name: slices for name, slices in results.items() if name in GATES["compiled"]})
    held &= report_workers({name: slices for name, slices in results.items() if name in WORKERS_SCENARIOS})
    held &= report_peers({name: slices for name, slices in results.items() if name in PEERS_SCENARIOS})
    held &= report_delays({name: slices for name, slices in results.items() if name in DELAYS})
    peak = max((s.memory_mb for s in every_slice(results, "hypereal")), default=0.0)
    if results:
        print(f"\nmemory of the data process at its most: {peak:.0f} MB (bound: {MEMORY_MB_MAX} MB)")
    return held and peak <= MEMORY_MB_MAX


def report_cpu(results: dict[str, Slices]) -> bool:
    """CPU per call beside nginx's; True where every gate held."""
    held = True
    if results:
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
        errors = sum(s.errors for gateway, rounds in slices.items() if gateway not in PEERS for s in rounds)
        held &= errors == 0
        cells += [f"{median_cpu(slices['hypereal'], 'postgres'):.0f}", str(errors)]
        print("| " + " | ".join(cells) + " |")
    return held


def report_compiled(results: dict[str, Slices]) -> bool:
    """CPU per call of the compiled wheel, money on, beside nginx's; True where every gate held."""
    held = True
    rows = [(name, slices) for name, slices in results.items() if "compiled" in slices]
    if rows:
        print("\n| scenario | compiled, with money | gate |\n|---|---|---|")
    for name, slices in rows:
        times, gate = ratio(slices, "compiled", "nginx"), GATES["compiled"][name]
        held &= times <= gate
        over = "" if times <= gate else " (over)"
        print(f"| {name} | {median_cpu(slices['compiled'], 'data'):.0f} us, {times:.2f}x{over} | {gate}x |")
    return held


def report_workers(results: dict[str, Slices]) -> bool:
    """What two data processes can do beside one, by what a call costs them: the load shares their cores here."""
    held = True
    rows = [(name, slices) for name, slices in results.items() if "two workers" in slices]
    if rows:
        print("\n| scenario | one worker | two workers | calls by CPU, times one's | calls a second here | gate |")
        print("|---|---|---|---|---|---|")
    for name, slices in rows:
        one, two = (median_cpu(slices[gateway], "data") for gateway in ("hypereal", "two workers"))
        times = 2 / ratio(slices, "two workers", "hypereal")
        rates = [statistics.median(s.calls for s in slices[gateway]) for gateway in ("hypereal", "two workers")]
        held &= times >= WORKERS_TIMES_MIN
        under = "" if times >= WORKERS_TIMES_MIN else " (under)"
        print(
            f"| {name} | {one:.0f} us | {two:.0f} us | {times:.2f}x{under} | {rates[1] / rates[0]:.2f}x "
            f"| {WORKERS_TIMES_MIN}x |"
        )
    return held


def report_peers(results: dict[str, Slices]) -> bool:
    """CPU per call of other gateways beside Hypereal's, money on; True where every gate held."""
    held = True
    rows = [(name, slices, peer) for name, slices in results.items() for peer in PEERS if peer in slices]
    if rows:
        print("\n| scenario | gateway | CPU, us | times Hypereal's | gate | errors |\n|---|---|---|---|---|---|")
    for name, slices, peer in rows:
        times, gate = ratio(slices, peer, "hypereal"), PEER_TIMES_MIN.get(name, 0.0)
        errors = sum(s.errors for s in slices[peer])
        held &= times >= gate and not errors
        wanted = f"{gate:.0f}x" if gate else "-"
        cpu = median_cpu(slices[peer], next(iter(slices[peer][0].cpu_us)))
        print(
            f"| {name} | {peer} | {cpu:.0f} | {times:.0f}x{'' if times >= gate else ' (under)'} | {wanted} | {errors} |"
        )
    return held


def report_delays(results: dict[str, Slices]) -> bool:
    """What is added to direct's times, p50 / p99; True where every gate held."""
    held = True
    if results:
        print("\n| scenario | direct, us | nginx adds | without money adds | with money adds | gate | errors |")
        print("|---|---|---|---|---|---|---|")
    for name, slices in results.items():
        gate, direct = DELAYS[name], slices["direct"]
        cells = [name, " / ".join(f"{statistics.median(vars(s)[p] for s in direct):.0f}" for p in ("p50_us", "p99_us"))]
        for gateway in ("nginx", "without money", "hypereal"):
            holds = gateway not in gate.gateways or added_us(slices, gateway, gate.percentile) <= gate.most_us
            held &= holds
            added = " / ".join(f"{added_us(slices, gateway, percentile):.0f}" for percentile in (50, 99))
            cells.append(added + ("" if holds else " (over)"))
        errors = sum(s.errors for rounds in slices.values() for s in rounds)
        held &= errors == 0
        print("| " + " | ".join([*cells, str(gate), str(errors)]) + " |")
    return held


def every_slice(results: dict[str, Slices], gateway: str) -> Iterable[Slice]:
    return (s for slices in results.values() for s in slices[gateway])


if __name__ == "__main__":
    sys.exit(main())
