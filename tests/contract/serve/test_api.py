"""The door of the control process: over every route that a capability declares, found because it is declared."""

import pytest
from tests.support.raw import Answer
from tests.support.routes import LINKS, ROUTES
from tests.support.server import Caller, Server

from hypereal.gateway import facts
from hypereal.kit.access import ApiRoute, LinkRoute, Permission
from hypereal.net import RequestHead
from hypereal.serve.api import INFERENCE, PREFIXES, paths_of

BOTH = frozenset({"inference", "account"})
QUOTA = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")


def name_of(route: ApiRoute) -> str:
    return f"{route.method} {route.path}"


def ask(server: Server, route: ApiRoute, key: str, **ids: str) -> Answer:
    """A request to ROUTE. A body that cannot be read shows that whoever is let in is let in: 400."""
    path = route.path.format_map({"id": "key_0", "delivery_id": "whd_0", **ids})
    return server.call(path, b"[]" if route.body else b"", key, method=route.method)


each = pytest.mark.parametrize("route", ROUTES, ids=name_of)


def test_a_route_without_a_permission_cannot_be_declared():
    with pytest.raises(TypeError, match="permission"):
        ApiRoute(method="GET", path="/api/x", summary="", endpoint=ask)  # type: ignore[call-arg,arg-type]


def test_no_two_routes_are_the_same():
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES)


@each
def test_a_route_states_what_it_takes_and_is_no_hot_one(route: ApiRoute):
    assert isinstance(route.permission, Permission)
    assert route.path.startswith(("/api/", "/v1/"))
    assert route.summary.endswith(".")
    for path in paths_of(route):
        assert facts.find_route(RequestHead(route.method.encode(), path.encode(), b"")) is None


@each
def test_nobody_gets_in_without_a_key(route: ApiRoute, server: Server):
    for key in ("", "sk-of-another", "ck_" + "0" * 64):
        answer = ask(server, route, key)
        assert (answer.status, answer.error["type"]) == (401, "authentication_error")
        assert answer.get("x-should-retry") == "false"


@each
def test_a_key_needs_the_permission(route: ApiRoute, server: Server):
    plain, account = server.caller(), server.caller(scopes=BOTH)
    refused = route.permission not in INFERENCE
    answer = ask(server, route, plain.secret)
    assert (answer.status == 403) == refused
    assert not refused or answer.error["type"] == "permission_error"
    assert ask(server, route, account.secret).status != 403
    for name in QUOTA:
        assert answer.get(name) is not None


def _id_of(server: Server, caller: Caller, route: ApiRoute) -> str:
    """Of something that the caller has, of the kind that ROUTE is for."""
    if route.path.startswith("/v1/storage/"):
        announced = server.call("/v1/storage/upload", {"filename": "a", "kind": "input"}, caller.secret)
        return str(announced.json["id"])
    if route.path.startswith(("/v1/jobs/", "/v1/videos/")):
        asked = {"model": "gpt-4o-image", "prompt": "a fox"}
        return str(server.call("/v1/images/generate", asked, caller.secret).json["resultId"])
    if route.path.startswith("/v1/webhooks/"):
        return str(server.call("/v1/webhooks/default", b"", caller.secret, method="GET").json["id"])
    return caller.key.id


@each
def test_what_belongs_to_others_is_not_there(route: ApiRoute, server: Server):
    """The id is real, its owner another: to the caller it is as one that never was."""
    if "{id}" not in route.path:
        pytest.skip("names nothing")
    mine, theirs = server.caller(scopes=BOTH), server.caller(scopes=BOTH)
    body = b"{}" if route.body else b""
    path = route.path.format(id=_id_of(server, theirs, route), delivery_id="whd_0")
    answer = server.call(path, body, mine.secret, method=route.method)
    assert (answer.status, answer.error["type"]) == (404, "not_found_error")
    assert server.call("/v1/models", b"", theirs.secret, method="GET").status == 200


@pytest.mark.parametrize("link", LINKS, ids=lambda link: link.path)
def test_a_link_that_is_not_signed_opens_nothing(link: LinkRoute, server: Server):
    path = link.path.format_map({"id": "obj_0", "filename": "a"})
    assert facts.find_route(RequestHead(link.methods[0].encode(), path.encode(), b"")) is None
    for query in ("", "?s=", "?s=x", "?until=99999999999&s=x", "?until=x&s=%00"):
        answer = server.call(path + query, b"", server.caller().secret, method=link.methods[0])
        assert (answer.status, answer.error["type"]) == (403, "permission_error")


def test_lists_hold_only_what_is_the_callers(server: Server):
    mine, theirs = server.caller(scopes=BOTH), server.caller(scopes=BOTH)
    told = server.call("/api/api-keys", b"", mine.secret, method="GET")
    assert [key["id"] for key in told.json["data"]] == [mine.key.id]
    assert theirs.key.id not in told.body.decode()


@pytest.mark.parametrize("prefix", PREFIXES)
def test_v1_routes_answer_under_every_prefix(prefix: str, server: Server):
    caller = server.caller(12.5)
    assert server.call(f"{prefix}/credits", b"", caller.secret, method="GET").json["balance"] == 12.5


@pytest.mark.parametrize("way", ["authorization", "x_api_key", "x_goog_api_key", "query"])
def test_every_way_to_send_a_key_works(way: str, server: Server, caller: Caller):
    fields = {} if way == "query" else {way: ("Bearer " if way == "authorization" else "") + caller.secret}
    path = "/v1/credits" + (f"?key={caller.secret}" if way == "query" else "")
    assert server.call(path, method="GET", **fields).status == 200


def test_a_wrong_method_is_told_the_right_ones(server: Server, caller: Caller):
    answer = server.call("/v1/credits", {}, caller.secret)
    assert (answer.status, set((answer.get("allow") or "").split(", "))) == (405, {"GET", "HEAD"})


def test_a_key_that_is_limited_may_not_make_keys(server: Server):
    limited = server.caller(scopes=BOTH, spending_limit=5)
    for route in ROUTES:
        if route.permission is Permission.WRITE_KEYS:
            assert ask(server, route, limited.secret).status == 403


def test_a_bad_query_names_its_field(server: Server):
    caller = server.caller(scopes=BOTH)
    for query in ("limit=0", "limit=101", "limit=x"):
        answer = server.call(f"/api/api-keys?{query}", b"", caller.secret, method="GET")
        assert (answer.status, answer.error["param"]) == (400, "limit")


def test_ids_that_are_no_text_are_not_there(server: Server):
    caller = server.caller(scopes=BOTH)
    assert server.call("/api/api-keys/key_%00", b"", caller.secret, method="GET").status == 404
    assert server.call("/api/api-keys?after=%00", b"", caller.secret, method="GET").status == 400
