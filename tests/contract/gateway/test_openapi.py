"""`/openapi.json` tells what is served: every route in it answers, and every hot route is in it."""

import pytest
from tests.support.server import Caller, Server

from hypereal.gateway import facts
from hypereal.serve import openapi

OPERATIONS = [(path, method) for path, item in openapi.document()["paths"].items() for method in item]


def test_the_document_is_served_without_a_key(server: Server):
    answer = server.call("/openapi.json", method="GET")
    assert (answer.status, answer.get("content-type")) == (200, "application/json")
    assert answer.json == openapi.document()


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_route_of_the_document_answers(path, method, server: Server, caller: Caller):
    path = path.replace("{model}", "gpt-5")
    answer = server.call(path, b"" if method == "get" else {}, caller.secret, method=method.upper())
    assert answer.status not in (404, 405), answer.body
    assert (answer.status == 200) == (method == "get")


def test_every_hot_route_is_in_the_document():
    assert {f"/v1/{name.decode()}" for name in facts._FIXED} <= openapi.document()["paths"].keys()
