"""Billed input cost with Hypereal Cache on against off: sessions of invented text against a simulation of the vendor.

`python benchmarks/cache_session.py` prints a table and exits with 1 where a bound is broken: a coding agent's session
must cost at least 75 % less, and no traffic more than 2 % more. The upstream is `tests/support/anthropic_cache.py`,
which keeps the vendor's rules; the agent is one that marks nothing itself.
"""

import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.anthropic_cache import AnthropicCache

from hypereal import catalog, providers
from hypereal.catalog import Model, price_of
from hypereal.gateway.cache_economy import CacheEconomy
from hypereal.kit.ids import KeyId
from hypereal.kit.money import credits
from hypereal.kit.usage import Usage
from hypereal.wire import find_prefixes, members

SAVED_PERCENT_MIN = 75
LOSS_PERCENT_MAX = 2
TURNS = 40
KEY = KeyId("key_1")

Body = dict[str, Any]
Ask = tuple[float, Body]
"""When, in seconds, and what."""


@dataclass(frozen=True)
class Traffic:
    """Requests of one key, and the least percentage that the cache must save of their input."""

    name: str
    asks: Callable[[random.Random], Iterator[Ask]]
    saved_percent_min: float = -LOSS_PERCENT_MAX


# -- invented text -----------------------------------------------------------------------------------------------------


def _text(dice: random.Random, size_bytes: int) -> str:
    """Like code and prose: words of some letters, lines, a little punctuation."""
    parts: list[str] = []
    length = 0
    while length < size_bytes:
        word = "".join(dice.choices("etaoinshrdlucmfwypvbgk", k=dice.randint(2, 9)))
        word += dice.choices(["", ",", ".", "()", ":\n    ", ' = "x"\n'], [80, 5, 4, 4, 4, 3])[0]
        parts.append(word)
        length += len(word) + 1
    return " ".join(parts)[:size_bytes]


POOL = _text(random.Random(0), 1_000_000)


def words(dice: random.Random, size_bytes: int) -> str:
    """So much of it, from anywhere."""
    at = dice.randrange(len(POOL) - size_bytes)
    return POOL[at : at + size_bytes]


def tools(dice: random.Random, size_bytes: int = 60_000) -> list[Any]:
    """Tools of about SIZE_BYTES in all."""
    found: list[Any] = []
    while len(msgspec.json.encode(found)) < size_bytes:
        properties = {f"p{n}": {"type": "string", "description": words(dice, 120)} for n in range(6)}
        schema = {"type": "object", "properties": properties, "required": ["p0"]}
        found.append({"name": f"tool_{len(found)}", "description": words(dice, 2_000), "input_schema": schema})
    return found


def grown(dice: random.Random, messages: list[Any]) -> list[Any]:
    """MESSAGES and one more turn: what the model said and called, and what the tools gave."""
    calls, results = [], []
    for _ in range(dice.choices([1, 2, 6, 14], [70, 20, 8, 2])[0]):
        name = f"toolu_{dice.getrandbits(40):x}"
        calls.append({"type": "tool_use", "id": name, "name": "tool_1", "input": {"p0": words(dice, 90)}})
        size = dice.choices([300, 2_000, 9_000], [40, 45, 15])[0]
        results.append({"type": "tool_result", "tool_use_id": name, "content": words(dice, size)})
    said = [{"type": "thinking", "thinking": words(dice, 400), "signature": f"{dice.getrandbits(256):x}"}]
    said.append({"type": "text", "text": words(dice, 200)})
    return [*messages, {"role": "assistant", "content": said + calls}, {"role": "user", "content": results}]


def body_of(messages: list[Any], **rest: Any) -> Body:
    return {"max_tokens": 8_000, **rest, "messages": messages}


# -- traffic -----------------------------------------------------------------------------------------------------------


def session(dice: random.Random, gaps_s: tuple[float, ...] = (8.0, 15.0, 30.0), start_s: float = 0.0) -> Iterator[Ask]:
    """A coding agent at work: tools and system stand still, the conversation grows at its end."""
    own, system, at_s = tools(dice), words(dice, 12_000), start_s
    messages = [{"role": "user", "content": words(dice, 600)}]
    for _ in range(TURNS):
        yield at_s, body_of(messages, tools=own, system=system)
        messages = grown(dice, messages)
        at_s += dice.choice(gaps_s)


def interleaved(dice: random.Random) -> Iterator[Ask]:
    first, second = session(dice), session(dice, start_s=3.0)
    yield from sorted([*first, *second], key=lambda ask: ask[0])


def no_repetition(dice: random.Random) -> Iterator[Ask]:
    for number in range(200):
        size = dice.choice([25_000, 60_000, 200_000])
        yield number * 5.0, body_of([{"role": "user", "content": words(dice, size)}], system=words(dice, 3_000))


def one_shots(dice: random.Random) -> Iterator[Ask]:
    system = words(dice, 1_500)
    for number in range(400):
        yield number * 1.0, body_of([{"role": "user", "content": words(dice, 400)}], system=system)


def one_shots_of_one_prompt(dice: random.Random) -> Iterator[Ask]:
    system = words(dice, 40_000)
    for number in range(200):
        yield number * 4.0, body_of([{"role": "user", "content": words(dice, 800)}], system=system)


def everything_twice(dice: random.Random) -> Iterator[Ask]:
    """The worst that looks like repetition: each request comes twice, and then never again."""
    for number in range(400):
        body = body_of([{"role": "user", "content": words(dice, 60_000)}])
        yield number * 20.0, body
        yield number * 20.0 + 9.0, body


def two_turns_each(dice: random.Random) -> Iterator[Ask]:
    """Conversations that end as soon as they have grown once."""
    for number in range(400):
        messages = [{"role": "user", "content": words(dice, 50_000)}]
        yield number * 20.0, body_of(messages)
        yield number * 20.0 + 9.0, body_of(grown(dice, messages))


def resumed(dice: random.Random) -> Iterator[Ask]:
    """A long conversation that this gateway has not seen before."""
    before = [{"role": "user", "content": words(dice, 600_000)}, {"role": "assistant", "content": words(dice, 900)}]
    for at_s, body in session(dice):
        yield at_s, {**body, "messages": [*before, *body["messages"]]}


def pauses(dice: random.Random) -> Iterator[Ask]:
    return session(dice, (400.0, 900.0))


def some_pauses(dice: random.Random) -> Iterator[Ask]:
    return session(dice, (10.0,) * 9 + (900.0,))


TRAFFIC = (
    Traffic("an agent's session, 40 turns", session, SAVED_PERCENT_MIN),
    Traffic("two sessions interleaved", interleaved, SAVED_PERCENT_MIN),
    Traffic("a session resumed at 600 KB", resumed, SAVED_PERCENT_MIN),
    Traffic("a session, every tenth gap 15 min", some_pauses, 0),
    Traffic("a session, every gap over the life", pauses),
    Traffic("no repetition", no_repetition),
    Traffic("short one-shot calls", one_shots),
    Traffic("one-shot calls of one long prompt", one_shots_of_one_prompt, SAVED_PERCENT_MIN),
    Traffic("each request twice, never again", everything_twice),
    Traffic("conversations of two turns", two_turns_each),
)


# -- the measure -------------------------------------------------------------------------------------------------------


def costs(model: Model, asks: list[tuple[float, bytes]]) -> tuple[int, int]:
    """(off, on): the input of ASKS in micro-credits."""
    assert model.price is not None and model.cache_tokens_min is not None
    economy, vendor = CacheEconomy(), AnthropicCache(model.cache_tokens_min, first_byte_s=1.0)
    off = on = 0
    for at_s, body in asks:
        fields = members.parse(body)
        prefixes = find_prefixes(fields, len(body), model.cache_tokens_min)
        plan = None
        if prefixes is not None:
            plan = economy.plan((KEY, model.id), prefixes.found, model.price, at_s)
            fields = prefixes.mark(plan.prefixes)
        said = vendor.ask(msgspec.json.decode(members.encode(fields)), at_s)
        usage = Usage(
            input_tokens=said.input_tokens,
            cache_read_tokens=said.read_tokens,
            cache_write_tokens=said.write_5m_tokens,
            cache_write_1h_tokens=said.write_1h_tokens,
        )
        if plan is not None:
            economy.settle(plan, usage)
        on += price_of(model.price, usage)
        off += price_of(model.price, Usage(input_tokens=usage.input_tokens_total))
    return off, on


def main() -> int:
    """The exit code."""
    known = providers.load({}, {}, Path("/run/local.sock"))
    models = catalog.load({}, {name: frozenset(row.base_urls) for name, row in known.items()}).models
    is_kept = True
    print(f"{'input cost in credits':36} {'model':18} {'off':>12} {'on':>12} {'saved':>8}   bound")
    for traffic in TRAFFIC:
        asks = [(at_s, msgspec.json.encode(body)) for at_s, body in traffic.asks(random.Random(1))]
        for model in models.values():
            if model.cache_tokens_min is None:
                continue
            off, on = costs(model, asks)
            saved = 100 * (off - on) / off
            is_met = saved >= traffic.saved_percent_min
            is_kept &= is_met
            bound = f"{traffic.saved_percent_min:+.0f} %{'' if is_met else '  BROKEN'}"
            print(f"{traffic.name:36} {model.id:18} {credits(off):>12} {credits(on):>12} {saved:6.1f} %   {bound}")
    return 0 if is_kept else 1


if __name__ == "__main__":
    sys.exit(main())
