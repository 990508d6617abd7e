"""Dialogues as files, a folder each: what a caller sent, what the upstream got and said, what came of it.

Written by hand: `request.json`, `upstream.sse`, `upstream.json` or `upstream.bin` (Amazon's frames), and `case.toml`:
what the path says, the upstream's model and profile, the upstream's dialect where a bridge stands between, the provider
whose envelope it wants and the fields of the caller's head that may go there. The other files are what the code makes
of them; `make golden` (HYPEREAL_TEST_GOLDEN=rewrite) writes them anew, to be read before they are committed.
"""

import os
import tomllib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from hypereal import providers
from hypereal.kit.dialects import Dialect
from hypereal.kit.errors import HyperealError
from hypereal.kit.usage import Usage
from hypereal.net.eventstream import EventStreamDecoder
from hypereal.wire import BRIDGES, DIALECTS, PROFILES, Bridge, FinishMerger, Request, WireDialect

ROOT = Path(__file__).parent
CASES = sorted(path.parent for path in [*ROOT.glob("*/*/request.json"), *ROOT.glob("*/*/upstream.*")])
MADE = (
    "upstream_request.json",
    "upstream_head.txt",
    "unframed.sse",
    "reply.sse",
    "reply.json",
    "folded.json",
    "unfolded.sse",
    "usage.json",
    "error.json",
)
CLOUDS = providers.load({"bedrock": {"region": "eu-west-1"}, "vertex": {"project": "p-1"}}, {}, Path("/run/local.sock"))
ANSWER_ID = "0123456789abcdef00000001"
REQUEST_ID = f"req_{ANSWER_ID}"


class Case(msgspec.Struct):
    model: str | None = None
    upstream_model: str = "upstream-model"
    profile: str = "openai"
    upstream_dialect: Dialect | None = None
    stream: bool | None = None
    provider: str | None = None
    forwarded: str = ""
    counts_tokens: bool = False


@pytest.mark.parametrize("folder", sorted(set(CASES)), ids=lambda path: f"{path.parent.name}-{path.name}")
def test_dialogue_gives_the_files_beside_it(folder: Path) -> None:
    made = dict(play(folder))
    if os.environ.get("HYPEREAL_TEST_GOLDEN") == "rewrite":
        for name in MADE:
            (folder / name).unlink(missing_ok=True)
        for name, content in made.items():
            (folder / name).write_bytes(content)
    kept = {name: (folder / name).read_bytes() for name in MADE if (folder / name).exists()}
    assert made == kept


def play(folder: Path) -> Iterator[tuple[str, bytes]]:
    """(name, content) of each file that the code makes of the ones written by hand."""
    settings = folder / "case.toml"
    case = msgspec.convert(tomllib.loads(settings.read_text()) if settings.exists() else {}, Case)
    dialect = DIALECTS[Dialect(folder.parent.name)]
    bridge = BRIDGES[dialect.name, case.upstream_dialect] if case.upstream_dialect else None
    upstream = DIALECTS[case.upstream_dialect or dialect.name]
    request = None
    if (folder / "request.json").exists():
        try:
            request = dialect.read((folder / "request.json").read_bytes(), model=case.model, stream=case.stream)
            sent = bridge.request(request, PROFILES[case.profile]) if bridge else request
            if case.provider is not None:
                yield from play_envelope(sent, case)
            else:
                yield "upstream_request.json", upstream.write(sent, case.upstream_model, PROFILES[case.profile])
        except HyperealError as error:
            yield "error.json", dialect.error_body(error, REQUEST_ID)
            return
    if (folder / "upstream.sse").exists():
        yield from play_stream((folder / "upstream.sse").read_bytes(), request, upstream, bridge, case)
    if (folder / "upstream.bin").exists():
        stream = EventStreamDecoder().feed((folder / "upstream.bin").read_bytes())
        yield "unframed.sse", stream
        yield from play_stream(stream, request, upstream, bridge, case)
    if (folder / "upstream.json").exists():
        body = (folder / "upstream.json").read_bytes()
        yield from facts(upstream, upstream.usage_of_answer(body, PROFILES[case.profile]), None, body)
        if bridge:
            assert request is not None
            yield "reply.json", bridge.answer(body, request, PROFILES[case.profile], ANSWER_ID)
        elif upstream.error_in(body) is None:
            yield "unfolded.sse", upstream.unfold(body)


def play_envelope(request: Request, case: Case) -> Iterator[tuple[str, bytes]]:
    """The request of a provider that has no credential, so that nothing in it changes from day to day."""
    provider = CLOUDS[case.provider or ""]
    assert provider.envelope is not None
    target = providers.request_for(
        provider, request.dialect, case.upstream_model, stream=request.stream, count_tokens=case.counts_tokens
    )
    forwarded = case.forwarded.replace("\n", "\r\n").encode()
    fields, lines = provider.envelope.seal(
        request, case.upstream_model, forwarded, provider.betas, counts_tokens=case.counts_tokens
    )
    yield "upstream_request.json", msgspec.json.encode(fields)
    head = b"POST %s HTTP/1.1\r\nhost: %s\r\n%s" % (target.target, target.authority, lines)
    yield "upstream_head.txt", head.replace(b"\r\n", b"\n")


def play_stream(
    stream: bytes, request: Request | None, upstream: WireDialect, bridge: Bridge | None, case: Case
) -> Iterator[tuple[str, bytes]]:
    first, tail = stream[: stream.index(b"\n\n") + 2], stream[-4096:]
    usage = upstream.usage_of_stream(first, tail, PROFILES[case.profile])
    yield from facts(upstream, usage, upstream.is_complete(tail), stream)
    if bridge:
        assert request is not None
        through = bridge.stream(request, PROFILES[case.profile], ANSWER_ID)
        yield "reply.sse", through.feed(stream) + through.end()  # an error inside is for the gateway to tell
    elif request is not None and not request.wants_usage:
        merger = FinishMerger()
        yield "reply.sse", merger.feed(stream) + merger.end()
    if upstream.is_complete(tail) and upstream.error_in(stream) is None:
        yield "folded.json", upstream.fold(stream)


def facts(
    upstream: WireDialect, usage: Usage | None, is_complete: bool | None, said: bytes
) -> Iterator[tuple[str, bytes]]:
    shown: dict[str, object] = {"usage": usage and msgspec.structs.asdict(usage)}
    if is_complete is not None:
        shown["is_complete"] = is_complete
    yield "usage.json", msgspec.json.format(msgspec.json.encode(shown)) + b"\n"
    if (error := upstream.error_in(said)) is not None:
        yield "error.json", msgspec.json.format(msgspec.json.encode(error)) + b"\n"
