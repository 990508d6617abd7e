"""Failures of an upstream that speaks another dialect than its caller, once a part of its answer went out."""

import pytest
from tests.contract.gateway.formats import GEMINI, MESSAGES, RESPONSES, Format
from tests.contract.gateway.test_streams import assert_failed_in_band
from tests.support import upstream as scripts
from tests.support import vendors
from tests.support.server import Caller, Server
from tests.support.upstream import Do, Step, Upstream, chunk

MODEL = "kimi-k2.5"
"""Reached in chat only."""
LATER = 0.4
"""Seconds: what came before has gone out by then."""
ERROR = chunk(vendors.event({"error": {"message": "a fault", "type": "server_error", "code": None}}))
ENDS = {"cut": [Do.CUT], "an error, then cut": [ERROR, Do.CUT], "an error, then the end": [ERROR, b"0\r\n\r\n"]}


@pytest.mark.parametrize("format", [MESSAGES, RESPONSES, GEMINI], ids=lambda one: one.name)
@pytest.mark.parametrize("ends", ENDS)
def test_one_error_in_the_callers_dialect_ends_the_stream(
    ends: str, format: Format, server: Server, upstream: Upstream, caller: Caller
):
    then: list[Step] = [*scripts.stream(vendors.chat_events()[:3], ends=False), LATER, *ENDS[ends]]
    upstream.answer_all(lambda _: then)
    path, body = format.call(MODEL, is_stream=True)
    answer = server.call(path, body, caller.secret)
    failures = [event for event in answer.events if event.get("error") or event.get("type") == "response.failed"]
    assert len(failures) == 1
    assert_failed_in_band(answer, path)
    row = server.usage(answer.request_id)
    assert (row["status"], row["attempts"], row["is_estimated"]) == (502, 1, True)
