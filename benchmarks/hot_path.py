"""What one call costs the interpreter, without sockets: the real data plane between two transports of memory.

    python -O benchmarks/hot_path.py                    us, frames and bytecodes a call, per scenario
    python -O benchmarks/hot_path.py json1k --where     and which functions they are
    python -O benchmarks/hot_path.py --money            with the real books and spool, leased once

Bytecodes and frames are exact and the same on every machine; the time is that of this process alone.
"""

import argparse
import asyncio
import collections
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

from hypereal import catalog, providers
from hypereal.accounts import KeyCache, Principal
from hypereal.accounts.principal import Entry
from hypereal.gateway import Plane, Routing
from hypereal.kit import log, settings
from hypereal.kit.clock import boottime_s, coarse
from hypereal.kit.db import Database
from hypereal.kit.ids import AccountId, KeyId, ProcessId, hash_key
from hypereal.kit.money import Micro
from hypereal.ledger import Ledger, Terms
from hypereal.ledger.asks import Standing
from hypereal.ledger.segments import Identity
from hypereal.ledger.spool import Spool
from hypereal.limits import RateLimiter
from hypereal.limits.limiter import _Window
from hypereal.net import Address, Connection, Pool, turn
from hypereal.net.upstream import Upstream
from without_money import FreeLedger

KEY = "ck_" + "0" * 64
OWNER = AccountId("acc_bench")
CALLS = 3000


class Wire:
    """The least that the plane asks of a transport."""

    def __init__(self) -> None:
        self.sent = 0
        self.on_write: Any = None

    def write(self, data: bytes) -> None:
        self.sent += len(data)
        if self.on_write is not None:
            self.on_write()

    def writelines(self, parts: Any) -> None:
        for part in parts:
            self.sent += len(part)
        if self.on_write is not None:
            self.on_write()

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None) -> None: ...
    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def can_write_eof(self) -> bool:
        return True

    def get_extra_info(self, name: str) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def abort(self) -> None:
        raise AssertionError("aborted")

    def close(self) -> None:
        raise AssertionError("closed")


class OneTurn:
    """A loop whose turns are ended by hand."""

    def call_soon(self, end: Any) -> None: ...


class NoFeed:
    """No notices come."""

    def on(self, channel: str, changed: Any) -> None: ...


class LeasedLedger(Ledger):
    """The real books and spool, with a lease that no call can use up; batches go nowhere."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._folder = tempfile.TemporaryDirectory(dir=".")
        identity = Identity(cluster=uuid4(), process_id=ProcessId(1), start=0)
        self._books.begin(Spool(identity, Path(self._folder.name)))
        self._books.live_until_s = boottime_s() + 3600
        self._is_timer_set = True  # no flush by itself

    def lease(self, payer: Principal) -> None:
        """Grant 10^15 micro-credits at once."""
        self._books.hold(payer, Micro(1), lambda: None)
        batch = self._books.batch()
        self._books.applied([Standing(10**15, 10**15, 0, 0) for _ in batch.asks])


def body(size: int, stream: bool) -> bytes:
    """As `chat.lua` makes it."""
    messages = [{"role": "system", "content": "You are a helpful assistant."}]
    filler = 'The quick brown fox jumps over "the" lazy dog.\n' * 20
    request = {"model": "gpt-5", "messages": messages, "temperature": 0.7, "max_tokens": 512, "stream": stream}
    while (room := size - len(json.dumps(request, separators=(",", ":"))) - 34) > 10:
        text = filler if len(json.dumps(filler)) <= room else "x" * room
        messages.append({"role": "user", "content": text})
    return json.dumps(request, separators=(",", ":")).encode()


def request(payload: bytes) -> bytes:
    """A whole request with the head of a real client."""
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:8787\r\nAuthorization: Bearer %s\r\nContent-Type: "
        b"application/json\r\nAccept: application/json\r\nAccept-Encoding: gzip, deflate\r\nUser-Agent: OpenAI/Python "
        b"1.109.1\r\nX-Stainless-Lang: python\r\nX-Stainless-Package-Version: 1.109.1\r\nX-Stainless-OS: Linux\r\n"
        b"X-Stainless-Arch: x64\r\nX-Stainless-Runtime: CPython\r\nX-Stainless-Async: false\r\n"
        b"Content-Length: %d\r\n\r\n%s"
    ) % (KEY.encode(), len(payload), payload)


def answer() -> list[bytes]:
    """A plain answer of 900 bytes, as the stub gives it."""
    usage = {"prompt_tokens": 123, "completion_tokens": 45, "total_tokens": 168}
    said = {
        "id": "chatcmpl-abc123", "object": "chat.completion", "created": 1700000000, "model": "gpt-up",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "the quick " * 60}, "logprobs": None,
                     "finish_reason": "stop"}],
        "usage": usage | {"prompt_tokens_details": {"cached_tokens": 64}},
    }  # fmt: skip
    payload = json.dumps(said, separators=(",", ":")).encode()
    head = b"HTTP/1.1 200 OK\r\nServer: stub\r\nContent-Type: application/json\r\nx-request-id: req_123456\r\n"
    return [head + b"Content-Length: %d\r\n\r\n" % len(payload) + payload]


def stream(burst: bool) -> list[bytes]:
    """100 events and [DONE], in one read or one each."""
    base = '{"id":"chatcmpl-abc123","object":"chat.completion.chunk","created":1700000000,"model":"gpt-up","choices":'
    chunks = [base + '[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}']
    for token in range(97):
        delta = f'{{"content":" token{token}"}}'
        chunks += [base + f'[{{"index":0,"delta":{delta},"finish_reason":null}}],"usage":null}}']
    chunks += [base + '[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}']
    chunks += [
        base + '[],"usage":{"prompt_tokens":123,"completion_tokens":97,"total_tokens":220,'
        '"prompt_tokens_details":{"cached_tokens":64}}}',
        "[DONE]",
    ]
    events = [b"data: %s\n\n" % chunk.encode() for chunk in chunks]
    framed = [b"%x\r\n%s\r\n" % (len(event), event) for event in events]
    framed[-1] += b"0\r\n\r\n"
    head = (
        b"HTTP/1.1 200 OK\r\nServer: stub\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
        b"Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    return [head + b"".join(framed)] if burst else [head, *framed]


SCENARIOS = {
    "json1k": (request(body(1024, False)), answer()),
    "json200k": (request(body(204800, False)), answer()),
    "sse_burst": (request(body(1024, True)), stream(burst=True)),
    "sse_paced": (request(body(1024, True)), stream(burst=False)),
}


async def measure(options: argparse.Namespace) -> None:
    """Every scenario on one plane."""
    log.configure(process="bench", level="warning")
    plane, wires = make_plane(with_money=options.money)
    for name in options.scenarios or SCENARIOS:
        one_call = caller(plane, *SCENARIOS[name], wires)
        for _ in range(300):
            one_call()
        coarse.tick()
        times = []
        for _ in range(9):
            began = time.process_time()
            for _ in range(CALLS // 10):
                one_call()
            times.append((time.process_time() - began) / (CALLS // 10) * 1e6)
            plane.ledger._books._lines.clear()
        frames, bytecodes, where = count(one_call)
        us = f"{min(times):7.1f} us (median {statistics.median(times):.1f})"
        print(f"{name:10} {us}  {frames} frames  {bytecodes} bytecodes")
        if options.where:
            for (function, line), (ops, calls) in where.most_common(120):
                print(f"    {ops:5} bytecodes {calls:3} calls  {function}:{line}")


def make_plane(*, with_money: bool) -> tuple[Plane, list[Wire]]:
    """A plane whose one upstream is a transport of memory."""
    config = settings.Settings()
    environment = {"OPENAI_API_KEY": "sk-upstream", "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}
    keys = KeyCache(None, NoFeed())  # type: ignore[arg-type]
    principal = Principal(
        key_id=KeyId("key_bench"), owner_id=OWNER, scopes=frozenset({"inference"}), models=None,
        spending_limit=None, expires_at=None,
    )  # fmt: skip
    keys._entries[hash_key(KEY.encode())] = Entry(principal, coarse.monotonic_s, coarse.monotonic_s + 1e6)
    limiter = RateLimiter(None, processes=1)  # type: ignore[arg-type]
    limiter._windows[OWNER] = _Window(10**9, 10**9, 0, time.monotonic() + 1e6)
    ledger = (LeasedLedger if with_money else FreeLedger)(
        Database(""), NoFeed(), Terms(instance_id="", balance_min=Micro(0))
    )
    if isinstance(ledger, LeasedLedger):
        ledger.lease(principal)
    control = Pool(Address(path="/none"))
    plane = Plane(None, keys, ledger, limiter=limiter, conversations=None, control=control)  # type: ignore[arg-type]
    known = providers.load(config.providers, environment, settings.Path("/none"))
    dialects = {name: frozenset(provider.base_urls) for name, provider in known.items()}
    plane.configure(config, catalog.load(config.models, dialects), Routing(known, plane.pools))
    plane.requests_per_minute = 10**9
    wires = [Wire()]
    pool = plane.pools.at(Address(host="127.0.0.1", port=9))
    upstream = Upstream(pool)
    upstream.connection_made(wires[0])  # type: ignore[arg-type]
    pool.put(upstream)
    wires[0].set_protocol(upstream)
    return plane, wires


def caller(plane: Plane, asked: bytes, said: list[bytes], wires: list[Wire]) -> Any:
    """A function that carries one call from its first byte to its last."""
    loop = asyncio.get_running_loop()
    connection = Connection(plane, loop)
    client = Wire()
    connection.connection_made(client)  # type: ignore[arg-type]
    client.set_protocol(connection)
    upstream = wires[0].protocol
    written = []
    wires[0].on_write = lambda: written.append(1)
    turn.join(OneTurn(), plane.ledger.write_down)  # type: ignore[arg-type]

    def one_call() -> None:
        head_end = asked.index(b"\r\n\r\n") + 4
        turn.is_busy = True  # as under load
        if len(asked) > 65536:
            connection.data_received(asked[:65536])
            receiver = client.protocol
            if receiver is not connection:
                rest = memoryview(asked)[65536:]
                while rest:
                    view = receiver.get_buffer(65536)
                    size = min(len(view), len(rest), 262144)
                    view[:size] = rest[:size]
                    receiver.buffer_updated(size)
                    rest = rest[size:]
        else:
            connection.data_received(asked)
        turn.end(), turn.end()  # the second time nothing more has come
        assert written, head_end
        written.clear()
        for read in said:
            turn.is_busy = True
            upstream.data_received(read)
            turn.end(), turn.end()
        assert connection.call is None

    return one_call


def count(one_call: Any) -> tuple[int, int, "collections.Counter[Any]"]:
    """Frames and bytecodes of one call, and which functions they are in."""
    frames = bytecodes = 0
    where: dict[Any, list[int]] = collections.defaultdict(lambda: [0, 0])

    def trace(frame: Any, event: str, argument: Any) -> Any:
        nonlocal frames, bytecodes
        place = where[
            frame.f_code.co_filename.rsplit("/", 2)[-2:][0]
            + "/"
            + frame.f_code.co_filename.rsplit("/", 1)[-1]
            + " "
            + frame.f_code.co_qualname,
            frame.f_code.co_firstlineno,
        ]
        if event == "call":
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
            frames += 1
            place[1] += 1
        elif event == "opcode":
            bytecodes += 1
            place[0] += 1
        return trace

    sys.settrace(trace)
    one_call()
    sys.settrace(None)
    counter: collections.Counter[Any] = collections.Counter()
    for key, value in where.items():
        counter[key] = tuple(value)  # type: ignore[assignment]
    return frames, bytecodes, counter


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*", help=", ".join(SCENARIOS))
    parser.add_argument("--money", action="store_true", help="with the real books and spool")
    parser.add_argument("--where", action="store_true", help="list the functions")
    asyncio.run(measure(parser.parse_args()))


if __name__ == "__main__":
    main()
