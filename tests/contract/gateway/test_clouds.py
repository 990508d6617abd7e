"""Claude behind Bedrock's and Vertex's envelopes, and Gemini on Vertex, through a running server.

The scripted upstream checks every signature and token anew, and refuses what it does not believe as the clouds do.
"""

from collections.abc import Iterator

import msgspec
import pytest
from tests.contract.gateway.bodies import CLAUDE_CODE
from tests.support import raw, vendors
from tests.support import upstream as scripts
from tests.support.background import Background
from tests.support.clouds import Google, exception, framed, framed_stream, is_signed
from tests.support.server import MARK, UPSTREAM_KEY, Caller, Server, assert_ended_well
from tests.support.upstream import Recorded, Script, Upstream

KEY_ID = "AKIDOFTHETEST"
MESSAGES, COUNT = "/v1/messages", "/v1/messages/count_tokens"
BODY = {"max_tokens": 100, "messages": [{"role": "user", "content": MARK}]}
USAGE = {"input_tokens": 500, "output_tokens": 200}
"""Nothing of a cache, so that nothing is told of it."""
EVENTS, WHOLE = vendors.messages_events(usage=USAGE), vendors.messages_answer(usage=USAGE)
MODELS = ("fails-at-once", "fails-later", "is-unsigned", "is-wrong")
CONFIG = """
[providers.brief]
dialects = ["anthropic_messages"]
envelope = "vertex"
auth = "google_service_account"
base_url = "{upstream}/brief"
credentials = {{ file = "{folder}/brief.json" }}

[providers.forged]
dialects = ["anthropic_messages"]
envelope = "vertex"
auth = "google_service_account"
base_url = "{upstream}/forged"
credentials = {{ file = "{folder}/forged.json" }}
"""


class Clouds:
    """Both clouds on the scripted upstream."""

    def __init__(self, upstream: Upstream) -> None:
        self.google = Google(f"{upstream.url}/token")
        self.aws_secrets = {KEY_ID: UPSTREAM_KEY}
        self.bedrock: Script | None = None
        """What Bedrock answers to what it believes; None: what is right."""

    def answer(self, recorded: Recorded) -> Script:
        path = recorded.path
        if path == "/token":
            return self.google.answer(recorded, 3600)
        if path == "/brief-token":
            return self.google.answer(recorded, 1)
        if path.startswith("/bedrock/model/"):
            return self._bedrock(recorded)
        assert "/publishers/" in path or path.startswith(("/brief/", "/forged/"))
        if (recorded.get("authorization") or "").removeprefix("Bearer ") not in self.google.given:
            return scripts.plain([{"error": {"code": 401, "status": "UNAUTHENTICATED", "message": "x"}}], 401)
        if path.endswith("count-tokens:rawPredict"):
            return scripts.plain({"input_tokens": 42})
        if "rawPredict" in path or "RawPredict" in path:
            is_stream = "streamRawPredict" in path
            assert is_stream == (recorded.json.get("stream") is True)
            return scripts.stream(EVENTS) if is_stream else scripts.plain(WHOLE)
        return scripts.default(recorded)

    def _bedrock(self, recorded: Recorded) -> Script:
        if not is_signed(recorded, self.aws_secrets):
            return scripts.plain({"message": "The request signature we calculated does not match."}, 403)
        if recorded.json.get("anthropic_version") != "bedrock-2023-05-31" or {"model", "stream"} & set(recorded.json):
            return scripts.plain({"message": "Malformed input request"}, 400)
        if self.bedrock is not None:
            return self.bedrock
        if recorded.path.endswith("/invoke-with-response-stream"):
            return framed_stream(EVENTS)
        return scripts.plain(WHOLE)


@pytest.fixture(scope="module")
def made(scripted_upstream: Upstream) -> Clouds:
    return Clouds(scripted_upstream)


@pytest.fixture
def clouds(made: Clouds, upstream: Upstream) -> Iterator[Clouds]:
    """Both clouds, in good health."""
    upstream.answer_all(made.answer)
    yield made
    made.bedrock, made.aws_secrets = None, {KEY_ID: UPSTREAM_KEY}


@pytest.fixture(scope="module")
def server(
    background: Background, scripted_upstream: Upstream, made: Clouds, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """One whose environment has credentials of both clouds, and no others."""
    folder, url = tmp_path_factory.mktemp("keys"), scripted_upstream.url
    (folder / "key.json").write_text(made.google.key_file())
    (folder / "brief.json").write_text(made.google.key_file(token_uri=f"{url}/brief-token", client_email="brief@x"))
    (folder / "forged.json").write_text(Google(made.google.token_url).key_file(client_email="forged@x"))
    environ = {
        "AWS_ACCESS_KEY_ID": KEY_ID,
        "AWS_SECRET_ACCESS_KEY": UPSTREAM_KEY,
        "AWS_SESSION_TOKEN": "session/token==",
        "AWS_REGION": "eu-west-1",
        "BEDROCK_BASE_URL": f"{url}/bedrock",
        "GOOGLE_APPLICATION_CREDENTIALS": str(folder / "key.json"),
        "GOOGLE_CLOUD_LOCATION": "europe-west1",
        "VERTEX_BASE_URL": url,
    }
    config = CONFIG.format(upstream=url, folder=folder)
    targets = {model: [f"bedrock:{model}", f"vertex:{model}"] for model in MODELS}
    targets |= {"on-vertex": ["vertex:claude@1"], "on-bedrock": ["bedrock:us.anthropic.claude-v1:0"]}
    targets |= {"on-brief": ["brief:claude"], "on-forged": ["forged:claude"]}
    targets |= {"forged-first": ["forged:claude", "bedrock:us.anthropic.claude-v1:0"]}
    for model, chain in targets.items():
        config += f'[models."{model}"]\ntargets = {chain}\nprice = {{ input = 1.0, output = 10.0 }}\n'
        config += 'endpoints = ["anthropic_messages"]\n'
    running = Server(background, environ, config)
    yield running
    assert "session/token==" not in running.log
    assert "PRIVATE KEY" not in running.log
    assert "ya29." not in running.log
    assert_ended_well(running)


@pytest.fixture(scope="module")
def caller(server: Server) -> Caller:
    return server.caller(1_000_000)


def ask(server: Server, caller: Caller, model: str, path: str = MESSAGES, **members: object) -> raw.Answer:
    return server.call(path, {"model": model, **BODY, **members}, caller.secret)


# -- Bedrock -----------------------------------------------------------------------------------------------------------


def test_an_answer_of_bedrock_is_the_callers(server: Server, upstream: Upstream, clouds: Clouds, caller: Caller):
    answer = ask(server, caller, "claude-haiku-4-5")
    assert (answer.status, answer.get("x-hypereal-provider")) == (200, "bedrock")
    assert answer.json == WHOLE
    sent = upstream.requests[0]
    assert sent.path == "/bedrock/model/global.anthropic.claude-haiku-4-5-20251001-v1%3A0/invoke"
    assert sent.get("x-amz-security-token") == "session/token=="
    assert sent.json == {**BODY, "anthropic_version": "bedrock-2023-05-31"}
    row = server.usage(answer.request_id)
    assert (row["target"], row["input_tokens"], row["output_tokens"], row["attempts"]) == (
        "global.anthropic.claude-haiku-4-5-20251001-v1:0",
        500,
        200,
        1,
    )


def test_a_stream_of_bedrock_is_the_events_of_the_dialect(
    server: Server, upstream: Upstream, clouds: Clouds, caller: Caller
):
    answer = ask(server, caller, "claude-haiku-4-5", stream=True)
    assert answer.get("content-type") == "text/event-stream; charset=utf-8"
    *before, end = EVENTS
    assert answer.body.startswith(b"".join(before))
    assert answer.body[len(b"".join(before)) :].startswith(b'event: message_stop\ndata: {"type":"message_stop"')
    assert end.startswith(b"event: message_stop")
    assert upstream.requests[0].path.endswith("/invoke-with-response-stream")
    row = server.usage(answer.request_id)
    assert (row["input_tokens"], row["output_tokens"], row["is_estimated"]) == (500, 200, False)


def test_the_callers_bytes_and_betas_go_into_the_envelope(
    server: Server, upstream: Upstream, clouds: Clouds, caller: Caller
):
    body = CLAUDE_CODE.replace(b'"claude-sonnet-4-6"', b'"on-bedrock"')
    assert body != CLAUDE_CODE
    betas = "claude-code-20250219,context-management-2025-06-27,advanced-tool-use-2025-11-20"
    answer = server.call(
        f"{MESSAGES}?beta=true", body, caller.secret, anthropic_beta=betas, anthropic_version="2023-06-01"
    )
    assert answer.status == 200
    sent = upstream.requests[0]
    raws = msgspec.json.Decoder(dict[str, msgspec.Raw])
    asked, got = raws.decode(body), raws.decode(sent.body)
    for own in ("model", "stream", "hypereal"):
        asked.pop(own, None)
    assert list(got) == [*asked, "anthropic_version", "anthropic_beta"]
    assert all(bytes(got[name]) == bytes(value) for name, value in asked.items())
    assert sent.json["anthropic_beta"] == ["context-management-2025-06-27", "tool-search-tool-2025-10-19"]
    assert {name for name, _ in sent.fields if name.startswith("anthropic")} == set()


def test_an_exception_before_the_first_event_goes_to_the_next_target(
    server: Server, upstream: Upstream, clouds: Clouds, caller: Caller
):
    clouds.bedrock = framed_stream([], exception("throttlingException", "Too many tokens"))
    answer = ask(server, caller, "fails-at-once", stream=True)
    assert (answer.status, answer.get("x-hypereal-provider")) == (200, "vertex")
    assert answer.body == b"".join(EVENTS)
    assert server.usage(answer.request_id)["attempts"] == 3


def test_what_bedrock_finds_wrong_with_the_request_is_told(server: Server, clouds: Clouds, caller: Caller):
    clouds.bedrock = framed_stream([], exception("validationException", "messages: roles must alternate"))
    answer = ask(server, caller, "is-wrong", stream=True)
    assert (answer.status, answer.error["type"]) == (400, "invalid_request_error")
    assert "roles must alternate" in answer.error["message"]
    clouds.bedrock = scripts.plain({"message": "messages: roles must alternate"}, 400)
    answer = ask(server, caller, "is-wrong")
    assert (answer.status, "roles must alternate" in answer.error["message"]) == (400, True)


@pytest.mark.parametrize(
    "last",
    [
        exception("modelStreamErrorException", "The model broke off."),
        framed(EVENTS[-1])[:-1] + b"\0",
        framed(EVENTS[-1])[:-5],
        b"event: message_stop\ndata: {}\n\n" * 9,
    ],
    ids=["exception", "wrong checksum", "cut", "no frames"],
)
def test_a_stream_that_breaks_ends_with_an_error_event(
    last: bytes, server: Server, upstream: Upstream, clouds: Clouds, caller: Caller
):
    gate, before = upstream.gate(), b"".join(EVENTS[:-2])
    clouds.bedrock = framed_stream(EVENTS[:-2], gate, last)
    with raw.Raw(server.url) as connection:
        connection.post(MESSAGES, {"model": "fails-later", **BODY, "stream": True}, caller.secret)
        head = connection.head()
        chunks, said = connection.chunks(), b""
        while len(said) < len(before):
            said += next(chunks)
        gate.open()
        said += b"".join(chunks)
    assert head.get("x-hypereal-provider") == "bedrock"
    assert said.startswith(before)
    assert b"event: error\ndata: " in said
    assert b"message_stop" not in said
    assert server.usage(head.request_id)["status"] == 502


def test_a_signature_that_is_not_believed_goes_to_the_next_target(
    server: Server, upstream: Upstream, clouds: Clouds, caller: Caller
):
    clouds.aws_secrets = {KEY_ID: "another"}
    answer = ask(server, caller, "is-unsigned")
    assert (answer.status, answer.get("x-hypereal-provider")) == (200, "vertex")
    assert server.usage(answer.request_id)["attempts"] == 2
    answer = ask(server, caller, "on-bedrock")
    assert (answer.status, answer.error["type"]) == (502, "api_error")
    assert "signature" not in answer.error["message"]


def test_tokens_are_estimated_where_only_bedrock_is(server: Server, upstream: Upstream, clouds: Clouds, caller: Caller):
    answer = ask(server, caller, "on-bedrock", COUNT)
    assert (answer.status, list(answer.json)) == (200, ["input_tokens"])
    assert not upstream.requests


# -- Vertex ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])
def test_claude_on_vertex(is_stream: bool, server: Server, upstream: Upstream, clouds: Clouds, caller: Caller):
    answer = ask(server, caller, "on-vertex", stream=is_stream)
    assert (answer.status, answer.get("x-hypereal-provider")) == (200, "vertex")
    assert answer.body == b"".join(EVENTS) if is_stream else answer.json == WHOLE
    sent = upstream.requests[-1]
    method = "streamRawPredict" if is_stream else "rawPredict"
    assert sent.path == (
        f"/v1/projects/project-of-file/locations/europe-west1/publishers/anthropic/models/claude@1:{method}"
    )
    assert sent.json == {**BODY, "stream": is_stream, "anthropic_version": "vertex-2023-10-16"}
    row = server.usage(answer.request_id)
    assert (row["input_tokens"], row["output_tokens"]) == (500, 200)


def test_tokens_are_counted_by_the_first_target_that_can(
    server: Server, upstream: Upstream, clouds: Clouds, caller: Caller
):
    answer = ask(server, caller, "claude-haiku-4-5", COUNT)
    assert (answer.json, answer.get("x-hypereal-provider")) == ({"input_tokens": 42}, "vertex")
    sent = upstream.requests[-1]
    assert sent.path.endswith("/publishers/anthropic/models/count-tokens:rawPredict")
    assert sent.json["model"] == "claude-haiku-4-5@20251001"


@pytest.mark.parametrize(
    ("method", "asked"),
    [
        ("generateContent", "generateContent"),
        ("streamGenerateContent?alt=sse", "streamGenerateContent?alt=sse"),
        ("countTokens", "countTokens"),
    ],
)
def test_gemini_on_vertex(method: str, asked: str, server: Server, upstream: Upstream, clouds: Clouds, caller: Caller):
    body = {"contents": [{"role": "user", "parts": [{"text": MARK}]}]}
    answer = server.call(f"/v1beta/models/gemini-2.5-flash:{method}", body, caller.secret)
    assert (answer.status, answer.get("x-hypereal-provider")) == (200, "vertex")
    sent = upstream.requests[-1]
    assert sent.path == (
        f"/v1beta1/projects/project-of-file/locations/europe-west1/publishers/google/models/gemini-2.5-flash:{asked}"
    )
    assert sent.json == body


def test_all_calls_share_one_access_token(server: Server, upstream: Upstream, clouds: Clouds, caller: Caller):
    for model in ("on-vertex", "is-unsigned", "on-vertex"):
        clouds.aws_secrets = {}
        assert ask(server, caller, model).status == 200
    assert sum(sent.path == "/token" for sent in upstream.requests) <= 1
    used = {sent.get("authorization") for sent in upstream.requests if "/publishers/" in sent.path}
    assert used == {f"Bearer {clouds.google.given[-1]}"}


def test_an_access_token_that_ended_is_renewed(server: Server, upstream: Upstream, clouds: Clouds, caller: Caller):
    assert ask(server, caller, "on-brief").status == 200
    first = upstream.requests[-1].get("authorization")
    assert first == f"Bearer {clouds.google.given[-1]}"

    def is_renewed() -> bool:
        assert ask(server, caller, "on-brief").status == 200
        return upstream.requests[-1].get("authorization") != first

    server.wait_for(is_renewed, "another token")
    assert [sent.path for sent in upstream.requests].count("/brief-token") >= 2


def test_an_account_that_google_does_not_know_goes_to_the_next_target(
    server: Server, upstream: Upstream, clouds: Clouds, caller: Caller
):
    answer = ask(server, caller, "forged-first")
    assert (answer.status, answer.get("x-hypereal-provider")) == (200, "bedrock")
    answer = ask(server, caller, "on-forged")
    assert (answer.status, answer.error["type"]) == (502, "api_error")
    assert "forged@x" not in answer.error["message"]
    assert sum(sent.path == "/token" for sent in upstream.requests) == 1
    assert not any(sent.path.startswith("/forged/") for sent in upstream.requests)
    assert "invalid_grant" in server.log
