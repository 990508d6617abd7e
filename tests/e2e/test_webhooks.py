"""Webhooks over HTTP: endpoints and their secrets, deliveries, replay; on the real server, to a real receiver."""

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from standardwebhooks import Webhook
from tests.support import raw
from tests.support.background import Background
from tests.support.server import Caller, Server, assert_ended_well

BOTH = frozenset({"inference", "account"})


class Receiver:
    """Takes webhooks, in a thread."""

    def __init__(self) -> None:
        self.received: list[tuple[dict[str, str], bytes]] = []
        self.statuses: list[int] = []
        outer = self

        class Take(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.received.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(outer.statuses.pop(0) if outer.statuses else 204)
                self.end_headers()

            def log_message(self, format: str, *arguments: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.2", 0), Take)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.2:{self._server.server_port}/hook"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    running = Receiver()
    yield running
    running.close()


@pytest.fixture(scope="module")
def site(background: Background) -> Iterator[Server]:
    running = Server(background, {"HYPEREAL_OUTBOUND__ALLOW": "127.0.0.2, hooks.internal"})
    yield running
    assert_ended_well(running)


def ask(site: Server, caller: Caller, method: str, path: str, body: object = b"") -> raw.Answer:
    return site.call(f"/v1/webhooks{path}", body, caller.secret, method=method)


def test_an_endpoint_lives(site: Server, receiver: Receiver):
    caller = site.caller(scopes=BOTH)
    made = ask(site, caller, "POST", "", {"url": receiver.url, "events": ["job.*"], "description": "mine"})
    assert made.status == 201
    endpoint = made.json
    assert (endpoint["url"], endpoint["events"], endpoint["enabled"]) == (receiver.url, ["job.*"], True)
    assert endpoint["secret"].startswith("whsec_")
    [listed] = ask(site, caller, "GET", "").json["data"]
    assert "secret" not in listed
    at = f"/{endpoint['id']}"
    assert ask(site, caller, "GET", at).json == endpoint
    changed = ask(site, caller, "PATCH", at, {"events": ["*"], "enabled": False}).json
    assert (changed["events"], changed["enabled"], changed["disabledReason"]) == (["*"], False, "turned off")
    assert ask(site, caller, "POST", f"{at}/test").status == 409
    assert ask(site, caller, "PATCH", at, {"enabled": True}).json["disabledReason"] is None
    rotated = ask(site, caller, "POST", f"{at}/rotate-secret", {"graceHours": 2}).json
    assert rotated["secret"] != endpoint["secret"] and rotated["oldSecretUntil"]
    sent = ask(site, caller, "POST", f"{at}/test")
    assert (sent.status, sent.json["type"], sent.json["state"]) == (202, "webhook.test", "pending")
    site.wait_for(lambda: receiver.received, "a test event")
    headers, body = receiver.received[0]
    for secret in (endpoint["secret"], rotated["secret"]):
        assert Webhook(secret).verify(body, headers)["type"] == "webhook.test"
    [delivery] = site.wait_for(
        lambda: [one for one in ask(site, caller, "GET", f"{at}/deliveries").json["data"] if one["finishedAt"]],
        "its row in the log",
    )
    assert (delivery["state"], delivery["attempts"][0]["status"]) == ("delivered", 204)
    assert delivery["body"]["type"] == "webhook.test"
    again = ask(site, caller, "POST", f"{at}/deliveries/{delivery['id']}/replay", b"")
    assert again.status == 202
    site.wait_for(lambda: len(receiver.received) == 2, "the replay")
    assert receiver.received[1][0]["webhook-id"] == headers["webhook-id"] == delivery["messageId"]
    assert ask(site, caller, "DELETE", at).status == 204
    assert ask(site, caller, "GET", at).status == 404
    assert ask(site, caller, "GET", "").json["data"] == []


def test_the_default_secret_is_told_and_rotated(site: Server):
    caller = site.caller(scopes=BOTH)
    first = ask(site, caller, "GET", "/default").json
    assert (first["url"], first["secret"][:6]) == (None, "whsec_")
    assert ask(site, caller, "GET", "/default").json == first
    rotated = ask(site, caller, "POST", "/default/rotate-secret", {}).json
    assert rotated["secret"] != first["secret"]
    assert ask(site, caller, "GET", "/default").json["secret"] == rotated["secret"]
    assert ask(site, caller, "DELETE", "/default").status == 404
    assert ask(site, caller, "POST", "/default/test").status == 409
    assert ask(site, caller, "GET", "/default/deliveries").json["data"] == []


def test_what_belongs_to_others_is_not_there(site: Server, receiver: Receiver):
    mine, theirs = site.caller(scopes=BOTH), site.caller(scopes=BOTH)
    endpoint = ask(site, theirs, "POST", "", {"webhookUrl": receiver.url}).json
    at = f"/{endpoint['id']}"
    sent = ask(site, theirs, "POST", f"{at}/test").json
    for method, path, body in (
        ("GET", at, b""),
        ("PATCH", at, {}),
        ("DELETE", at, b""),
        ("POST", f"{at}/rotate-secret", {}),
        ("POST", f"{at}/test", b""),
        ("GET", f"{at}/deliveries", b""),
        ("POST", f"{at}/deliveries/{sent['id']}/replay", b""),
        ("POST", f"/default/deliveries/{sent['id']}/replay", b""),
    ):
        answer = ask(site, mine, method, path, body)
        assert (answer.status, answer.error["type"]) == (404, "not_found_error"), (method, path)
    assert ask(site, mine, "GET", "").json["data"] == []


def test_a_key_for_inference_alone_sees_no_secret(site: Server):
    for method, path in (("GET", ""), ("GET", "/default"), ("POST", "")):
        assert ask(site, site.caller(), method, path).status == 403


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "url"),
        ({"url": "http://127.0.0.1:1/"}, "url"),
        ({"url": "http://[::ffff:127.0.0.2]/"}, "url"),
        ({"url": "http://user@hooks.internal/"}, "url"),
        ({"url": "http://hooks.internal\\@127.0.0.2/"}, "url"),
        ({"url": 5}, "url"),
        ({"url": "http://127.0.0.2:9/", "events": ["nothing"]}, "events"),
        ({"url": "http://127.0.0.2:9/", "events": []}, "events"),
        ({"url": "http://127.0.0.2:9/", "description": "x" * 500}, "description"),
        ({"url": "http://127.0.0.2:9/", "secret": "whsec_x"}, "secret"),
    ],
)
def test_a_bad_endpoint_names_its_field(body: dict[str, Any], param: str, site: Server):
    answer = ask(site, site.caller(scopes=BOTH), "POST", "", body)
    assert (answer.status, answer.error["param"]) == (400, param)


def test_events_wait_for_a_receiver_that_is_away(site: Server):
    with socket.socket() as probe:
        probe.bind(("127.0.0.2", 0))
        port = probe.getsockname()[1]
    caller = site.caller(scopes=BOTH)
    endpoint = ask(site, caller, "POST", "", {"url": f"http://127.0.0.2:{port}/hook"}).json
    ask(site, caller, "POST", f"/{endpoint['id']}/test")

    def tried() -> Any:
        [delivery] = ask(site, caller, "GET", f"/{endpoint['id']}/deliveries").json["data"]
        return delivery if delivery["attempts"] else None

    delivery = site.wait_for(tried, "a try")
    assert (delivery["state"], delivery["attempts"][0]["error"]) == ("pending", "url: it cannot be reached.")
    assert delivery["nextAttemptAt"] is not None
    assert ask(site, caller, "GET", f"/{endpoint['id']}").json["failingSince"] is not None
