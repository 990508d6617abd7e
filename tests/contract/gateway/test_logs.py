"""The log of a server: one object a line, and each that is about a call names it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support import server as servers
from tests.support import upstream as scripts
from tests.support.background import Background
from tests.support.server import Server
from tests.support.upstream import Upstream

BODY = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 300}


@pytest.fixture(scope="module")
def console(background: Background, scripted_upstream: Upstream) -> Iterator[Server]:
    environ = servers.upstream_environ(scripted_upstream) | {"HYPEREAL_SERVER__LOG_FORMAT": "console"}
    running = Server(background, environ, servers.config(scripted_upstream))
    yield running
    assert running.stop() == 0


def told_of(server: Server, request_id: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in server.log.splitlines()]
    return [line for line in lines if line.get("request_id") == request_id]


def test_every_failed_target_is_logged_under_the_id_that_the_caller_got(server: Server, upstream: Upstream) -> None:
    caller = server.caller()
    upstream.answer("up-first", *[scripts.plain({"error": {"message": "no"}}, 500)] * 2)
    answer = server.call("/v1/chat/completions", {"model": "two-targets", **BODY}, caller.secret)
    assert answer.status == 200
    lines = server.wait_for(lambda: told_of(server, answer.request_id), "its lines")
    assert [(line["event"], line["target"]) for line in lines] == [("target failed", "first:up-first")] * 2
    assert {line["process"] for line in lines} == {"data-0"}
    everything = [json.loads(line) for line in server.log.splitlines()]
    assert all("request_id" in line for line in everything if line.get("capability") == "gateway" and "target" in line)


def test_console_lines_are_for_people(console: Server, upstream: Upstream) -> None:
    caller = console.caller()
    upstream.answer("up-first", scripts.plain({"error": {"message": "no"}}, 404))
    answer = console.call("/v1/chat/completions", {"model": "one-target", **BODY}, caller.secret)
    console.wait_for(lambda: f"request_id={answer.request_id}" in console.log, "the line")
    assert "{" not in console.log.splitlines()[-1]
