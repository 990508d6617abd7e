"""What a request head says: route, credential, and what of it goes upstream."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypereal.gateway.facts import FORWARDED, Action, read_facts
from hypereal.kit.dialects import Dialect
from hypereal.net import RequestHead

KEY = b"ck_" + b"a" * 64


def head(target: bytes, *lines: bytes, method: bytes = b"POST") -> RequestHead:
    return RequestHead(method, target, b"".join(line + b"\r\n" for line in lines))


@pytest.mark.parametrize("prefix", [b"/v1", b"/api/v1", b"/v1/v1", b"/api/v1/v1"])
@pytest.mark.parametrize(
    ("path", "dialect"),
    [
        (b"/chat/completions", Dialect.OPENAI_CHAT),
        (b"/responses", Dialect.OPENAI_RESPONSES),
        (b"/codex/responses", Dialect.OPENAI_RESPONSES),
        (b"/messages", Dialect.ANTHROPIC_MESSAGES),
        (b"/messages/count_tokens", Dialect.ANTHROPIC_MESSAGES),
        (b"/gemini", Dialect.GEMINI),
    ],
)
def test_a_route_is_found_under_every_prefix(prefix, path, dialect):
    for end in (b"", b"/", b"?beta=true"):
        route = read_facts(head(prefix + path + end)).route
        assert route is not None
        assert (route.dialect, route.endpoint) == (dialect, path.decode().strip("/"))


def test_a_gemini_path_names_model_and_stream():
    route = read_facts(head(b"/v1beta/models/gemini%2D2:streamGenerateContent?alt=sse")).route
    assert route is not None
    assert (route.model, route.stream, route.action) == ("gemini-2", True, Action.GENERATE)


@pytest.mark.parametrize("path", [b"/", b"/v2/messages", b"/v1/messages/x", b"/v1/v1/v1/messages", b"/v1/models/a:b"])
def test_what_is_no_hot_route_is_left_to_the_control_process(path):
    assert read_facts(head(path)).route is None


@pytest.mark.parametrize(
    ("lines", "query", "credential"),
    [
        ([], b"", b""),
        ([b"authorization: Bearer " + KEY], b"", KEY),
        ([b"Authorization: bearer  " + KEY], b"", KEY),
        ([b"x-api-key: " + KEY, b"authorization: Bearer ck_first"], b"", b"ck_first"),
        ([b"x-api-key: sk-other", b"x-goog-api-key: " + KEY], b"", KEY),
        ([b"x-api-key: sk-other"], b"?key=" + KEY, KEY),
        ([b"authorization: Basic abc", b"x-api-key: sk-other"], b"", b"Basic abc"),
    ],
)
def test_the_first_credential_that_begins_with_ck_decides(lines, query, credential):
    assert read_facts(head(b"/v1/messages" + query, *lines)).credential == credential


def test_only_named_fields_go_upstream():
    facts = read_facts(head(b"/v1/messages", b"Anthropic-Beta: a", b"Cookie: b", b"X-Api-Key: c", b"session_id: d"))
    assert facts.forwarded == b"anthropic-beta: a\r\nsession_id: d\r\n"


@given(st.binary(max_size=60), st.lists(st.binary(max_size=40).filter(lambda line: b"\r" not in line), max_size=4))
def test_no_head_makes_it_raise_or_forward_more_than_is_named(target, lines):
    facts = read_facts(head(b"/" + target, *lines))
    for line in facts.forwarded.split(b"\r\n")[:-1]:
        assert line.partition(b":")[0] in FORWARDED


@pytest.mark.parametrize(
    ("target", "body", "dialect", "model", "stream"),
    [
        (b"/v1/chat/completions", b'{"model":"m","messages":[],"stream":true}', Dialect.OPENAI_CHAT, "m", True),
        (b"/v1/messages", b'{"model":"m","messages":[],"max_tokens":1}', Dialect.ANTHROPIC_MESSAGES, "m", False),
        (b"/v1/responses", b'{"model":"m","input":"x"}', Dialect.OPENAI_RESPONSES, "m", False),
        (b"/v1/gemini", b'{"model":"m","messages":[]}', Dialect.OPENAI_CHAT, "m", False),
        (b"/v1/gemini?alt=sse", b'{"model":"m","messages":[]}', Dialect.OPENAI_CHAT, "m", True),
        (b"/v1/gemini?alt=sse", b'{"model":"m","contents":[]}', Dialect.GEMINI, "m", True),
        (b"/v1beta/models/p:generateContent", b'{"contents":[],"stream":true}', Dialect.GEMINI, "p", False),
        (b"/v1beta/models/p:streamGenerateContent", b'{"contents":[]}', Dialect.GEMINI, "p", True),
    ],
)
def test_a_head_says_how_its_bodies_are_read(target, body, dialect, model, stream):
    request = read_facts(head(target)).read(body)
    assert (request.dialect, request.model, request.stream) == (dialect, model, stream)
