"""Keys over HTTP: made, bound, rotated, limited, told of and stopped, on a server of two data processes with mail."""

import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from tests.support.background import Background
from tests.support.mailbox import Mailbox
from tests.support.raw import Answer
from tests.support.server import Caller, Server, assert_ended_well, config, upstream_environ
from tests.support.upstream import Upstream

CHAT = {"model": "gpt-5", "messages": [], "max_tokens": 10}
BOTH = frozenset({"inference", "account"})
NOTICE_S_MAX = 5.0


@pytest.fixture(scope="module")
def letters(background: Background) -> Iterator[Mailbox]:
    running = Mailbox(background)
    yield running
    running.close()


@pytest.fixture(scope="module")
def own(background: Background, scripted_upstream: Upstream, letters: Mailbox) -> Iterator[Server]:
    """Its clients are behind a proxy that it trusts, where they say so."""
    settings = config(scripted_upstream) + f'\n[mail]\nsmtp_url = "{letters.url}"\n'
    settings = settings.replace("[server]", '[server]\ntrusted_proxies = ["127.0.0.1"]', 1)
    running = Server(background, upstream_environ(scripted_upstream), settings, workers=2)
    yield running
    assert_ended_well(running)


@pytest.fixture
def manager(own: Server) -> Caller:
    """Somebody who may make keys."""
    return own.caller(1_000_000, scopes=BOTH)


def api(own: Server, caller: Caller, method: str, path: str = "", body: Any = b"") -> Answer:
    return own.call(f"/api/api-keys{path}", body, caller.secret, method=method)


def make(own: Server, caller: Caller, **terms: Any) -> dict[str, Any]:
    answer = api(own, caller, "POST", body=terms)
    assert answer.status == 201, answer.body
    made: dict[str, Any] = answer.json
    return made


def chat(own: Server, key: str, **fields: str) -> Answer:
    return own.call("/v1/chat/completions", CHAT, key, **fields)


def soon(own: Server, key: str, status: int, **fields: str) -> Answer:
    """An answer of STATUS, once both processes give it: six in a row."""
    deadline = time.monotonic() + NOTICE_S_MAX
    in_a_row = 0
    while in_a_row < 6:
        answer = chat(own, key, **fields)
        in_a_row = in_a_row + 1 if answer.status == status else 0
        assert time.monotonic() < deadline, (answer.status, answer.body)
    return answer


# -- making and changing -----------------------------------------------------------------------------------------------


def test_a_made_key_is_told_once_and_works(own: Server, upstream: Upstream, manager: Caller):
    made = make(own, manager, name="laptop", spendingLimit=12.5, models=["gpt-5"], expiresAt="2030-01-01T00:00:00Z")
    assert (made["state"], made["spendingLimit"], made["spent"], made["scopes"]) == ("active", 12.5, 0, ["inference"])
    assert chat(own, made["key"]).status == 200
    shown = api(own, manager, "GET", f"/{made['id']}").json
    assert "key" not in shown
    assert shown["hint"] == made["key"][-4:]
    assert {**made, "key": None, "spent": None} == {**shown, "key": None, "spent": None}


def test_lists_come_in_pages(own: Server, manager: Caller):
    ids = {manager.key.id, *(make(own, manager)["id"] for _ in range(4))}
    first = api(own, manager, "GET", "?limit=3").json
    second = api(own, manager, "GET", f"?limit=3&after={first['next']}").json
    assert (first["has_more"], second["has_more"], second["next"]) == (True, False, None)
    assert {key["id"] for key in (*first["data"], *second["data"])} == ids


@pytest.mark.parametrize(
    ("terms", "param"),
    [
        ({"name": ""}, "name"),
        ({"name": 5}, "name"),
        ({"ownerId": "acc_house"}, "ownerId"),
        ({"spendingLimit": -1}, "spendingLimit"),
        ({"spendingLimit": 0.1234567}, "spendingLimit"),
        ({"spendingLimit": 1e300}, "spendingLimit"),
        ({"models": ["no-such"]}, "models"),
        ({"models": []}, "models"),
        ({"allowedIps": ["ten"]}, "allowedIps"),
        ({"scopes": ["admin"]}, "scopes"),
        ({"expiresAt": "2030-01-01T00:00:00"}, "expiresAt"),
        ({"expiresAt": "tomorrow"}, "expiresAt"),
    ],
)
def test_terms_that_make_no_sense_are_refused_by_name(terms, param, own: Server, manager: Caller):
    for method, path in (("POST", ""), ("PATCH", f"/{manager.key.id}")):
        if method == "PATCH" and "scopes" in terms:
            continue
        answer = api(own, manager, method, path, terms)
        assert (answer.status, answer.error["param"]) == (400, param), answer.body


def test_aliases_of_models_are_kept_as_their_ids(own: Server, manager: Caller):
    assert make(own, manager, models=["gpt-5-mini"])["models"] == ["gpt-5.4-mini"]


def test_a_changed_key_changes_everywhere_at_once(own: Server, upstream: Upstream, manager: Caller):
    made = make(own, manager)
    path = f"/{made['id']}"
    assert chat(own, made["key"]).status == 200
    assert api(own, manager, "PATCH", path, {"models": ["gpt-5.4-mini"]}).json["models"] == ["gpt-5.4-mini"]
    soon(own, made["key"], 403)
    assert api(own, manager, "PATCH", path, {"models": None, "isActive": False}).json["state"] == "inactive"
    soon(own, made["key"], 401)
    api(own, manager, "PATCH", path, {"isActive": True})
    soon(own, made["key"], 200)
    assert api(own, manager, "DELETE", path).status == 204
    soon(own, made["key"], 401)
    assert api(own, manager, "GET", path).status == 404


def test_a_key_that_expires_is_refused_from_then_on(own: Server, upstream: Upstream, manager: Caller):
    made = make(own, manager)
    assert chat(own, made["key"]).status == 200
    api(own, manager, "PATCH", f"/{made['id']}", {"expiresAt": "2020-01-01T00:00:00Z"})
    assert "expired" in soon(own, made["key"], 401).error["message"]
    assert api(own, manager, "GET", f"/{made['id']}").json["state"] == "expired"


@pytest.mark.parametrize(
    "limits", [{"spending_limit": 5}, {"models": frozenset({"gpt-5"})}, {"allowed_ips": ("127.0.0.1",)}]
)
def test_a_limited_key_mints_no_other(limits, own: Server):
    limited = own.caller(scopes=BOTH, **limits)
    path = f"/{limited.key.id}"
    for method, where in (("POST", ""), ("PATCH", path), ("DELETE", path), ("POST", f"{path}/rotate")):
        assert api(own, limited, method, where, b"" if method == "DELETE" else {}).status == 403
    assert api(own, limited, "GET").status == 200


# -- rotation, addresses, rates ----------------------------------------------------------------------------------------


def test_both_secrets_work_while_a_rotation_lasts(own: Server, upstream: Upstream, manager: Caller):
    made = make(own, manager, spendingLimit=100)
    rotated = api(own, manager, "POST", f"/{made['id']}/rotate", {"graceSeconds": 3}).json
    assert rotated["id"] == made["id"]
    began = time.monotonic()
    for key in (made["key"], rotated["key"]):
        soon(own, key, 200)
    while chat(own, made["key"]).status == 200:
        assert time.monotonic() < began + 10
        time.sleep(0.1)
    assert time.monotonic() - began > 1
    soon(own, made["key"], 401)
    soon(own, rotated["key"], 200)


def test_a_rotation_lasts_a_day_unless_it_is_said(own: Server, manager: Caller):
    made = make(own, manager)
    rotated = api(own, manager, "POST", f"/{made['id']}/rotate").json
    lasts_s = datetime.fromisoformat(rotated["formerUntil"]).timestamp() - time.time()
    assert lasts_s == pytest.approx(24 * 3600, abs=60)
    for grace_s in (-1, 2_592_001, "x"):
        answer = api(own, manager, "POST", f"/{made['id']}/rotate", {"graceSeconds": grace_s})
        assert (answer.status, answer.error["param"]) == (400, "graceSeconds")


def test_a_key_bound_to_addresses_works_from_there_alone(own: Server, upstream: Upstream, manager: Caller):
    made = make(own, manager, allowedIps=["10.1.0.0/16", "2001:db8::/32"], scopes=["inference", "account"])
    assert made["allowedIps"] == ["10.1.0.0/16", "2001:db8::/32"]
    for address in ("10.1.2.3", "8.8.8.8, 10.1.2.3", "2001:db8::7"):
        assert chat(own, made["key"], x_forwarded_for=address).status == 200
    for address in ("10.2.0.1", "10.1.2.3, 8.8.8.8", "nonsense"):
        answer = chat(own, made["key"], x_forwarded_for=address)
        assert (answer.status, answer.error["type"]) == (403, "permission_error")
    assert chat(own, made["key"]).status == 403, "the proxy itself is not on the list"
    for path in ("/v1/key", "/v1/models", "/api/api-keys"):
        for address, status in (("10.1.2.3", 200), ("10.2.0.1", 403)):
            answer = own.call(path, b"", made["key"], method="GET", x_forwarded_for=address)
            assert answer.status == status, path


def test_an_account_may_have_a_rate_of_its_own(own: Server, upstream: Upstream, manager: Caller):
    made = make(own, manager)
    own.query("UPDATE accounts SET requests_per_minute = 3 WHERE id = $1", manager.owner_id)
    deadline = time.monotonic() + NOTICE_S_MAX
    while (answer := chat(own, made["key"])).get("x-ratelimit-limit") != "3":
        assert time.monotonic() < deadline
    assert answer.status in (200, 429)
    for _ in range(3):
        answer = chat(own, made["key"])
    assert (answer.status, answer.get("x-ratelimit-remaining")) == (429, "0")
    answer = own.call("/v1/key", b"", made["key"], method="GET")
    assert (answer.status, answer.get("x-ratelimit-limit")) == (429, "3")


# -- budgets -----------------------------------------------------------------------------------------------------------


def test_a_key_without_a_limit_tells_what_it_has_spent_this_month(own: Server, upstream: Upstream, manager: Caller):
    made = make(own, manager)
    answers = [chat(own, made["key"]) for _ in range(3)]
    cost = sum(round(float(answer.get("x-hypereal-cost-credits") or 0) * 1_000_000) for answer in answers)

    def told() -> dict[str, Any]:
        answer: dict[str, Any] = own.call("/v1/key", b"", made["key"], method="GET").json
        return answer

    assert cost > 0
    own.wait_for(lambda: round(told()["spent"] * 1_000_000) == cost, "what it has spent")
    assert (told()["limit"], told()["remaining"]) == (None, None)
    assert round(api(own, manager, "GET", f"/{made['id']}").json["spent"] * 1_000_000) == cost
    other = make(own, manager)
    assert own.call("/v1/key", b"", other["key"], method="GET").json["spent"] == 0


@pytest.mark.parametrize("prefix", ["/v1", "/api/v1", "/v1/v1", "/api/v1/v1"])
def test_a_key_tells_its_own_terms(prefix: str, own: Server, manager: Caller):
    made = make(own, manager, name="agent", spendingLimit=40, models=["gpt-5"])
    told = own.call(f"{prefix}/key", b"", made["key"], method="GET").json
    assert (told["id"], told["limit"], told["spent"], told["remaining"]) == (made["id"], 40, 0, 40)
    assert (told["scopes"], told["models"], told["resetsAt"][8:]) == (["inference"], ["gpt-5"], "01T00:00:00Z")
    assert own.call(f"{prefix}/key", b"", manager.secret, method="GET").json["limit"] is None
    credits = own.call(f"{prefix}/credits", b"", made["key"], method="GET").json
    assert (credits["balance"], credits["free"] <= 1_000_000) == (1_000_000, True)


def test_a_budget_is_told_of_once_each_and_stops_the_key_until_a_person_turns_it_on(
    own: Server, upstream: Upstream, manager: Caller, letters: Mailbox
):
    cost = float(chat(own, make(own, manager)["key"]).get("x-hypereal-cost-credits") or 0)
    assert cost > 0
    limit = round(cost * 10, 6)
    made = make(own, manager, name="agent", spendingLimit=limit, autoDisable=True)

    def subjects() -> list[str]:
        mine = [letter for letter in letters.messages if made["id"] in letter.get_content()]
        return sorted(letter["Subject"] for letter in mine)

    while (answer := chat(own, made["key"])).status == 200:
        pass
    assert (answer.status, answer.error["type"]) == (402, "spending_limit_reached")
    own.wait_for(lambda: len(subjects()) == 2, "both letters")
    assert subjects() == [
        "Your key 'agent' has reached its limit and is switched off",
        "Your key 'agent' has used 80 % of its limit",
    ]
    answer = soon(own, made["key"], 402)
    assert answer.error["type"] == "spending_limit_reached"
    assert "until a person turns it on" in answer.error["message"]
    assert answer.error["resets_at"].endswith("-01T00:00:00Z")
    shown = api(own, manager, "GET", f"/{made['id']}").json
    assert (shown["state"], shown["isActive"]) == ("stopped", False)
    assert 0.8 * limit <= shown["spent"] <= limit

    assert api(own, manager, "PATCH", f"/{made['id']}", {"spendingLimit": round(limit * 100, 6)}).status == 200
    assert chat(own, made["key"]).status == 402, "a higher limit is no word of a person's that it is to go on"
    assert api(own, manager, "PATCH", f"/{made['id']}", {"isActive": True}).json["state"] == "active"
    soon(own, made["key"], 200)
    time.sleep(3)  # the schedule looks every two seconds: there must be nothing to find
    assert len(subjects()) == 2
