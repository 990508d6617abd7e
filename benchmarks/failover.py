"""What a target that refuses connections adds to a call that the next target answers, besides the pause between tries.

One connection, money on, and in turn: a call of a model whose only target is good, and one of a model whose first
target's port refuses. *Closed*: its circuit breaker still lets calls through, so a call tries twice with a pause of
known length between (`known_backoff.py`). *Open*: the breaker has opened, and calls go straight to the second target.
"""

import http.client
import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from known_backoff import PAUSE_S
from servers import Gateway, hypereal, upstream

MODELS_A_ROUND = 15
CALLS_CLOSED = 2
"""Of each model: every call fails twice, and five failures in a row open the breaker."""
CALLS_OPEN = 100
GATE_MS = 5.0
CLOCK_MS = 1.0

PROVIDER = """
[providers.refusing]
dialects = ["openai_chat"]
base_url = "http://127.0.0.1:{port}/v1"
api_key = "sk-upstream"
"""
MODEL = """
[models."{name}"]
targets = [{targets}]
price = {{ input = 1.25, output = 10.0 }}
context_tokens_max = 400000
output_tokens_max = 128000
"""


@dataclass
class Phase:
    """Whole calls in milliseconds: of the good target alone, and of the two, the pause subtracted."""

    alone: list[float]
    both: list[float]

    def added(self, share: float) -> float:
        return percentile(self.both, share) - percentile(self.alone, share)

    @property
    def holds(self) -> bool:
        return max(self.added(0.5), self.added(0.99)) <= GATE_MS


@dataclass
class Failover:
    """What was measured."""

    closed: Phase
    opened: Phase
    errors: int = 0

    @property
    def holds(self) -> bool:
        """Whether the gate held, in both phases."""
        return not self.errors and self.closed.holds and self.opened.holds


def measure(rounds: int, run_dir: Path) -> Failover:
    """Models that nothing was asked of yet in every round, then the last of them once its breaker is open."""
    run_dir.mkdir()
    run_dir.chmod(0o755)
    found = Failover(Phase([], []), Phase([], []))
    names = [f"refused-{number}" for number in range(rounds * MODELS_A_ROUND)]
    with refusing_port() as dead, upstream((0,), run_dir) as good:
        config = PROVIDER.format(port=dead) + MODEL.format(name="alone", targets='"openai:gpt-5"')
        for name in names:
            config += MODEL.format(name=name, targets='"refusing:gpt-5", "openai:gpt-5"')
        with hypereal("failover", good, run_dir, program="known_backoff.py", config=config) as gateway:
            caller = Caller(gateway, found)
            for _ in range(50):
                caller.call("alone")
            for name in names:
                for _ in range(CALLS_CLOSED):
                    caller.pair(name, found.closed, PAUSE_S * 1000)
                if name in names[MODELS_A_ROUND - 1 :: MODELS_A_ROUND]:
                    caller.call(name)  # its fifth failure
                    for _ in range(CALLS_OPEN):
                        caller.pair(name, found.opened, 0.0)
    return found


class Caller:
    """One connection to the gateway."""

    def __init__(self, gateway: Gateway, found: Failover) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)
        self._connection.connect()
        self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._head = {"authorization": f"Bearer {gateway.key}", "content-type": "application/json"}
        self._found = found
        self._calls = 0

    def pair(self, name: str, phase: Phase, pause_ms: float) -> None:
        """A call of the good target alone, then one of NAME. One that was too fast did not try the first target.

        A pause may end up to a millisecond early: the loop's clock counts these.
        """
        phase.alone.append(self.call("alone"))
        took_ms = self.call(name) - pause_ms
        phase.both.append(took_ms)
        self._found.errors += took_ms < -CLOCK_MS

    def call(self, model: str) -> float:
        """Milliseconds from the request to the last byte of the answer."""
        self._calls += 1
        said = f"{self._calls} " + "x" * 900  # another conversation each, else it stays with the target that answered
        body = json.dumps({"model": model, "max_tokens": 512, "messages": [{"role": "user", "content": said}]})
        began = time.perf_counter()
        self._connection.request("POST", "/v1/chat/completions", body.encode(), self._head)
        answer = self._connection.getresponse()
        answer.read()
        took_ms = (time.perf_counter() - began) * 1000
        self._found.errors += answer.status != 200 or answer.headers["x-hypereal-provider"] != "openai"
        return took_ms


@contextmanager
def refusing_port() -> Iterator[int]:
    """A port of this machine that nothing else gets and that nothing listens on."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[int((len(values) - 1) * share)]


def report(found: Failover) -> None:
    """The table for benchmarks/README.md."""
    print("\n| failover | calls | alone p50 / p99, ms | adds besides the pause p50 / p99, ms | gate | errors |")
    print("|---|---|---|---|---|---|")
    for name, phase in {"breaker closed": found.closed, "breaker open": found.opened}.items():
        alone = f"{percentile(phase.alone, 0.5):.2f} / {percentile(phase.alone, 0.99):.2f}"
        added = f"{phase.added(0.5):.2f} / {phase.added(0.99):.2f}{'' if phase.holds else ' (over)'}"
        print(f"| {name} | {len(phase.both)} | {alone} | {added} | {GATE_MS:.0f} ms | {found.errors} |")
