"""What `bench.py` measures, each as a process beside the others: the stub, nginx, Hypereal and its variants."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
HYPEREAL = Path(sys.executable).parent / "hypereal"
CREDITS = 1_000_000_000


@dataclass
class Gateway:
    """Something that the load can be sent to. `parts` are the processes that are read apart; the first is the one.

    `twins` do the same work as the first: their CPU is counted with its.
    """

    name: str
    port: int
    parts: dict[str, int] = field(default_factory=dict)
    twins: tuple[int, ...] = ()
    key: str = "sk-none"


@contextmanager
def upstream(options: tuple[int, ...], run_dir: Path) -> Iterator[int]:
    """The stub; what its OPTIONS mean stands in `stub.c`."""
    port, program = free_port(), compiled("stub.c", run_dir)
    command = [str(program), str(port), *(str(option) for option in options)]
    with process(command, run_dir / "stub.log", port):
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
def hypereal(
    name: str,
    upstream_port: int,
    run_dir: Path,
    *,
    program: str = "",
    config: str = "",
    command: Path = HYPEREAL,
    workers: int = 1,
) -> Iterator[Gateway]:
    """A server as an operator starts it, its upstream the stub, its rate limit raised; a key with credit enough.

    PROGRAM is a file beside this one that starts it in another way, CONFIG the text of a `hypereal.toml`, COMMAND the
    `hypereal` of another installation.
    """
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
    if config:
        file = run_dir / f"{data_dir.name}.toml"
        file.write_text(config)
        environment["HYPEREAL_CONFIG"] = str(file)
    serve = [sys.executable, str(HERE / program)] if program else [str(command)]
    serve += ["serve", "--port", str(port), "--workers", str(workers)]
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
        twins = tuple(children[f"data-{slot}"] for slot in range(1, workers))
        yield Gateway(name, port, parts, twins, json.loads(made.stdout)["key"])


@contextmanager
def litellm(upstream_port: int, run_dir: Path) -> Iterator[Gateway]:
    """LiteLLM's proxy as its documentation advises for production, without a database, so without spend logs."""
    program, port, config = installed("litellm", "litellm[proxy]"), free_port(), run_dir / "litellm.yaml"
    config.write_text((HERE / "litellm.yaml.in").read_text().replace("UPPORT", str(upstream_port)))
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(run_dir),
        "LITELLM_MODE": "PRODUCTION",
        "LITELLM_LOG": "ERROR",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }
    command = [str(program), "--config", str(config), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    with process(command, run_dir / "litellm.log", port, environment) as started:
        yield Gateway("LiteLLM", port, {"litellm": started.pid}, key="sk-test-1")


@cache
def compiled_hypereal() -> Path:
    """The `hypereal` of the wheel that mypyc makes of these sources, in an environment of its own. Takes a minute."""
    print("compiling the wheel", file=sys.stderr, flush=True)
    folder, root = HERE / ".peers" / "compiled", HERE.parent
    for wheel in (root / "dist").glob("hypereal-*-linux_*.whl"):
        wheel.unlink()
    subprocess.run(["sh", "scripts/compiled_wheel.sh"], cwd=root, check=True, stdout=subprocess.DEVNULL)
    (wheel,) = (root / "dist").glob("hypereal-*-linux_*.whl")
    uv = str(HYPEREAL.parent / "uv")
    subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)], check=True)
    install = [uv, "pip", "install", "--quiet", "--no-deps", "--python", str(folder / "bin" / "python")]
    subprocess.run([*install, "--require-hashes", "-r", str(root / "locks" / "run.txt")], check=True)
    subprocess.run([*install, str(wheel)], check=True)
    return folder / "bin" / "hypereal"


def installed(program: str, package: str) -> Path:
    """PROGRAM of a peer's PACKAGE, in an environment of its own that is made the first time and kept."""
    folder = HERE / ".peers" / program
    path = folder / "bin" / program
    if not path.exists():
        print(f"installing {package} beside the benchmarks, once", file=sys.stderr, flush=True)
        uv = str(HYPEREAL.parent / "uv")
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)], check=True)
        subprocess.run(
            [uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), package], check=True
        )
    return path


def compiled(source: str, run_dir: Path) -> Path:
    """The program of a C file beside this one."""
    program = run_dir / source.removesuffix(".c")
    subprocess.run(["gcc", "-O2", "-w", "-o", str(program), str(HERE / source)], check=True)
    return program


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


def cpu_of(gateway: Gateway) -> dict[str, float]:
    """Seconds of each of its parts, by name; those of the first and its twins together."""
    seconds = {part: cpu_s(pid) for part, pid in gateway.parts.items()}
    for part in list(seconds)[:1]:
        seconds[part] += sum(map(cpu_s, gateway.twins))
    return seconds


def memory_mb(pid: int, field: str = "VmRSS") -> float:
    """Resident memory of one process. FIELD `RssAnon`: without the files that are mapped."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split(f"{field}:")[1].split()[0]) / 1024
