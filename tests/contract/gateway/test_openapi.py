"""`/openapi.json` tells what is served: every route in it answers, and every hot route is in it."""

import json

import pytest
from tests.support.routes import LINKS, ROUTES
from tests.support.server import Caller, Server

from hypereal.gateway import facts
from hypereal.serve import openapi

DOCUMENT = openapi.document(ROUTES, LINKS)
OF_API = {(route.path, route.method.lower()) for route in ROUTES} | {
    (link.path, link.methods[0].lower()) for link in LINKS
}
OPERATIONS = [
    (path, method) for path, item in DOCUMENT["paths"].items() for method in item if (path, method) not in OF_API
]


def test_the_document_is_served_without_a_key(server: Server):
    answer = server.call("/openapi.json", method="GET")
    assert (answer.status, answer.get("content-type")) == (200, "application/json")
    assert answer.json == json.loads(json.dumps(DOCUMENT))


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_route_of_the_document_answers(path, method, server: Server, caller: Caller):
    path = path.replace("{model}", "gpt-5")
    answer = server.call(path, b"" if method == "get" else {}, caller.secret, method=method.upper())
    assert answer.status not in (404, 405), answer.body
    assert (answer.status == 200) == (method == "get")


def test_every_hot_route_is_in_the_document():
    assert {f"/v1/{name.decode()}" for name in facts._FIXED} <= DOCUMENT["paths"].keys()


def test_every_route_of_the_control_process_is_in_the_document():
    for route in ROUTES:
        operation = DOCUMENT["paths"][route.path][route.method.lower()]
        assert operation["summary"] == route.summary
        assert ("requestBody" in operation) == (route.body is not None)
    for link in LINKS:
        operation = DOCUMENT["paths"][link.path][link.methods[0].lower()]
        assert (operation["summary"], operation["security"]) == (link.summary, [])
