"""Files over HTTP, as callers have them: announced, uploaded, downloaded, deleted; on the disk and in a bucket."""

import hashlib
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from tests.support import raw
from tests.support.background import Background
from tests.support.buckets import S3Server
from tests.support.server import Caller, Server, assert_ended_well
from tests.support.sites import PNG

from hypereal.storage.links import Links

BOTH = frozenset({"inference", "account"})


def config_of(section: dict[str, str], **more: object) -> str:
    lines = ["[storage]", *(f'{key} = "{value}"' for key, value in section.items())]
    return "\n".join([*lines, *(f"{key} = {value}" for key, value in more.items())])


@pytest.fixture(scope="module")
def on_disk(background: Background) -> Iterator[Server]:
    running = Server(background, {}, config_of({}, quota_gb=5, price_gb_month=1.5))
    yield running
    assert_ended_well(running)


@pytest.fixture(scope="module")
def in_bucket(background: Background, s3_server: S3Server) -> Iterator[Server]:
    running = Server(background, {}, config_of(s3_server.section))
    yield running
    assert_ended_well(running)


@pytest.fixture(params=["on_disk", "in_bucket"])
def site(request: pytest.FixtureRequest) -> Server:
    server: Server = request.getfixturevalue(request.param)
    return server


@pytest.fixture
def http() -> Iterator[httpx2.Client]:
    with httpx2.Client(trust_env=False, follow_redirects=True, timeout=60) as client:
        yield client


def announce(server: Server, caller: Caller, **asked: Any) -> Any:
    body = {"filename": "a.png", "contentType": "image/png", "kind": "input"} | asked
    with httpx2.Client(trust_env=False, headers={"x-api-key": caller.secret}) as client:
        answer = client.post(f"{server.url}/v1/storage/upload", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def ask(server: Server, path: str, caller: Caller, method: str = "GET") -> raw.Answer:
    return server.call(path, b"", caller.secret, method=method)


def test_a_file_goes_up_and_comes_down(site: Server, http: httpx2.Client):
    caller = site.caller()
    told = announce(site, caller, filename="é b.png", size=len(PNG))
    assert set(told) >= {"id", "key", "uploadUrl", "url", "expiresAt"}
    assert ask(site, "/v1/storage", caller).json["data"] == []
    pending = ask(site, f"/v1/storage/{told['id']}", caller).json
    assert (pending["state"], pending["size"], pending["sha256"]) == ("pending", len(PNG), None)
    assert http.get(told["url"]).status_code == 404
    assert http.put(told["uploadUrl"], content=PNG).status_code == 200
    shown = ask(site, f"/v1/storage/{told['id']}", caller).json
    assert (shown["state"], shown["size"], shown["contentType"]) == ("ready", len(PNG), "image/png")
    assert (shown["kind"], shown["filename"], shown["key"]) == ("input", "é b.png", told["key"])
    assert shown["url"].partition("/v1/")[2] == told["url"].partition("/v1/")[2]
    assert [one["id"] for one in ask(site, "/v1/storage?kind=input", caller).json["data"]] == [told["id"]]
    assert ask(site, "/v1/storage?kind=lora", caller).json["data"] == []
    got = http.get(told["url"])
    assert (got.status_code, got.content) == (200, PNG)
    head = http.head(told["url"])
    assert (head.status_code, head.headers["content-length"], head.content) == (200, str(len(PNG)), b"")
    part = http.get(told["url"], headers={"range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, PNG[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(PNG)}"
    assert got.headers["etag"] == head.headers["etag"]
    assert http.get(told["url"], headers={"if-none-match": got.headers["etag"]}).status_code in (200, 304)
    assert ask(site, f"/v1/storage/{told['id']}", caller, "DELETE").status == 204
    assert http.get(told["url"]).status_code == 404
    assert ask(site, f"/v1/storage/{told['id']}", caller).status == 404
    assert http.put(told["uploadUrl"], content=PNG).status_code in (200, 404)  # a bucket's own link lives on
    assert http.get(told["url"]).status_code == 404


def test_what_belongs_to_others_is_not_there(site: Server, http: httpx2.Client):
    mine, theirs = site.caller(scopes=BOTH), site.caller(scopes=BOTH)
    told = announce(site, theirs)
    http.put(told["uploadUrl"], content=PNG)
    for method, path, body in (
        ("GET", f"/v1/storage/{told['id']}", b""),
        ("POST", f"/v1/storage/{told['id']}/complete", b"{}"),
        ("DELETE", f"/v1/storage/{told['id']}", b""),
    ):
        answer = site.call(path, body, mine.secret, method=method)
        assert (answer.status, answer.error["type"]) == (404, "not_found_error")
    assert ask(site, "/v1/storage", mine).json["data"] == []
    assert ask(site, f"/v1/storage?after={told['id']}", mine).json["data"] == []
    assert ask(site, "/api/storage", mine).json["objects"] == 0
    assert http.get(told["url"]).content == PNG


def test_links_open_nothing_once_they_are_changed(site: Server, http: httpx2.Client):
    caller = site.caller()
    told, other = announce(site, caller), announce(site, caller)
    for one in (told, other):
        assert http.put(one["uploadUrl"], content=PNG).status_code == 200
    url, signature = told["url"].split("?s=")
    for wrong in (
        url,
        f"{url}?s=",
        f"{url}?s={signature[:-2]}",
        f"{url}?s={signature}x",
        f"{url}?s=" + signature.swapcase(),
        url.replace(told["id"], other["id"]) + f"?s={signature}",
    ):
        answer = http.get(wrong)
        assert (answer.status_code, answer.json()["error"]["type"]) == (403, "permission_error")
    upload = announce(site, caller)["uploadUrl"]
    assert http.put(upload[:-1] + ("0" if upload[-1] != "0" else "1"), content=PNG).status_code == 403
    assert http.put(upload.partition("?")[0], content=PNG).status_code == 403


def test_an_upload_link_ends(on_disk: Server, http: httpx2.Client):
    caller = on_disk.caller()
    told = announce(on_disk, caller)
    links = Links((on_disk.data_dir / "secret").read_text().strip())
    assert http.put(on_disk.url + links.upload(told["id"], 1_700_000_000), content=PNG).status_code == 403
    assert http.put(on_disk.url + links.upload(told["id"], 2**33), content=PNG).status_code == 200


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b"<html><script>alert(1)</script>", "text/html"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "image/svg+xml"),
        (b"<?xml version='1.0'?><x/>", "text/xml"),
        (b"%PDF-1.7", "application/pdf"),
    ],
)
def test_what_is_stored_is_never_a_page_of_ours(body: bytes, shown: str, on_disk: Server, http: httpx2.Client):
    told = announce(on_disk, on_disk.caller(), filename="a.png")
    http.put(told["uploadUrl"], content=body)
    got = http.get(told["url"])
    assert got.headers["content-type"] == shown
    assert got.headers["content-disposition"].startswith("attachment; ")
    assert got.headers["x-content-type-options"] == "nosniff"
    policy = got.headers["content-security-policy"]
    assert "default-src 'none'" in policy and policy.endswith("; sandbox")


def test_a_bucket_is_told_what_to_call_it(in_bucket: Server):
    told = announce(in_bucket, in_bucket.caller(), filename="a.png")
    with httpx2.Client(trust_env=False) as client:
        client.put(told["uploadUrl"], content=b"<html>", headers={"content-type": "image/png"})
        answer = client.get(told["url"])
    assert (answer.status_code, answer.headers["cache-control"]) == (307, "no-store")
    query = parse_qs(urlsplit(answer.headers["location"]).query)
    assert query["response-content-type"] == ["text/html"]
    assert query["response-content-disposition"] == ['attachment; filename="a.png"']


@pytest.mark.parametrize(
    ("asked", "span"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=5-", (5, None)),
        ("bytes=-7", (-7, None)),
        ("bytes=100-999999", (100, None)),
        ("bytes=-999999", None),
        ("bytes=0-", None),
        ("bytes=9-3", None),
        ("bytes=0-1,5-6", None),
        ("bytes=a-b", None),
        ("lines=1-2", None),
    ],
)
def test_a_range_is_answered_as_it_is_asked(
    asked: str, span: tuple[int, int | None] | None, on_disk: Server, http: httpx2.Client
):
    told = announce(on_disk, on_disk.caller())
    http.put(told["uploadUrl"], content=PNG)
    got = http.get(told["url"], headers={"range": asked})
    wanted = PNG if span is None else PNG[span[0] : span[1]]
    assert (got.status_code, got.content) == (200 if span is None else 206, wanted)
    assert got.headers["content-length"] == str(len(wanted))
    assert http.get(told["url"], headers={"range": f"bytes={len(PNG)}-"}).status_code == 416
    etag = got.headers["etag"]
    assert http.get(told["url"], headers={"range": "bytes=0-0", "if-range": etag}).status_code == 206
    assert http.get(told["url"], headers={"range": "bytes=0-0", "if-range": '"other"'}).status_code == 200
    assert http.get(told["url"], headers={"if-none-match": f'"x", W/{etag}'}).status_code == 304


def test_browsers_of_other_sites_may_upload(on_disk: Server, http: httpx2.Client):
    told = announce(on_disk, on_disk.caller())
    preflight = http.options(told["uploadUrl"], headers={"origin": "https://x", "access-control-request-method": "PUT"})
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert "PUT" in preflight.headers["access-control-allow-methods"]


def test_two_files_come_at_once_and_large_ones_too(site: Server, http: httpx2.Client):
    """Larger than any JSON body may be, and than what a process holds of bodies for one caller."""
    caller = site.caller()
    bodies = [os.urandom(1_000_000) * 12 for _ in range(3)]

    def bring(body: bytes) -> bytes:
        told = announce(site, caller, contentType="application/x-weights", kind="weights", filename="w.safetensors")
        assert http.put(told["uploadUrl"], content=body).status_code == 200
        return http.get(told["url"]).content

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(bring, bodies)) == bodies
    assert len(ask(site, "/v1/storage", caller).json["data"]) == 3


def test_bodies_without_a_length_come_too(on_disk: Server, http: httpx2.Client):
    told = announce(on_disk, on_disk.caller())
    put = http.put(told["uploadUrl"], content=iter([PNG[:100], PNG[100:]]))
    assert (put.status_code, put.json()["sha256"]) == (200, hashlib.sha256(PNG).hexdigest())


def test_a_killed_server_lists_nothing_and_goes_on(on_disk: Server, http: httpx2.Client):
    caller = on_disk.caller()
    body = os.urandom(1_000_000) * 8
    told = announce(on_disk, caller, contentType="x/y", size=len(body))
    path = urlsplit(told["uploadUrl"])
    target = f"{path.path}?{path.query}"
    with raw.Raw(on_disk.url) as client:
        head = f"PUT {target} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
        client.send(head.encode() + body[:5_000_000])

        def come() -> int:
            return int(on_disk.call(target, b"", method="HEAD").get("upload-offset") or 0)

        on_disk.wait_for(lambda: come() > 3_000_000, "most of the upload")
        control = on_disk.pids["control"]
        os.kill(control, signal.SIGKILL)
        on_disk.wait_for(lambda: on_disk.pids.get("control", control) != control, "another control process")
    on_disk.wait_for(lambda: ask(on_disk, "/v1/storage", caller).status == 200, "its answer")
    assert ask(on_disk, "/v1/storage", caller).json["data"] == []
    assert http.get(told["url"]).status_code == 404
    came = come()
    assert 3_000_000 < came <= 5_000_000
    wrong = {"content-range": f"bytes {came - 1}-{len(body) - 1}/{len(body)}"}
    refused = http.put(told["uploadUrl"], content=body[came - 1 :], headers=wrong)
    assert (refused.status_code, refused.headers["upload-offset"]) == (409, str(came))
    rest = {"content-range": f"bytes {came}-{len(body) - 1}/{len(body)}"}
    assert http.put(told["uploadUrl"], content=body[came:], headers=rest).status_code == 200
    assert http.get(told["url"]).content == body


def test_a_client_that_leaves_leaves_nothing_listed(site: Server):
    caller = site.caller()
    told = announce(site, caller, contentType="x/y", size=10_000_000)
    url = urlsplit(told["uploadUrl"])
    with raw.Raw(f"http://{url.netloc}") as client:
        head = f"PUT {url.path}?{url.query} HTTP/1.1\r\nhost: {url.netloc}\r\ncontent-length: 10000000\r\n\r\n"
        client.send(head.encode() + b"x" * 3_000_000)
    assert ask(site, "/v1/storage", caller).json["data"] == []
    answer = site.call(f"/v1/storage/{told['id']}/complete", {}, caller.secret)
    assert (answer.status, answer.error["type"]) == (409, "conflict_error")


def test_a_large_file_goes_to_a_bucket_in_parts(in_bucket: Server, http: httpx2.Client):
    caller = in_bucket.caller()
    body = os.urandom(1_000_000) * 68
    told = announce(in_bucket, caller, contentType="x/y", kind="weights", size=len(body))
    parts = told["parts"]
    size = parts["partSize"]
    assert len(parts["urls"]) == -(-len(body) // size) > 1

    def send(number: int) -> int:
        return http.put(parts["urls"][number], content=body[number * size : (number + 1) * size]).status_code

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(send, range(len(parts["urls"])))) == {200}
    completed = http.post(parts["completeUrl"], json={}, headers={"authorization": f"Bearer {caller.secret}"})
    assert (completed.status_code, completed.json()["size"]) == (200, len(body))
    assert hashlib.sha256(http.get(told["url"]).content).digest() == hashlib.sha256(body).digest()


def test_sums_and_quota_are_told(on_disk: Server, http: httpx2.Client):
    caller = on_disk.caller(scopes=BOTH)
    http.put(announce(on_disk, caller)["uploadUrl"], content=PNG)
    announce(on_disk, caller, size=1000)
    told = ask(on_disk, "/api/storage", caller).json
    assert told["gbMonths"] >= 0
    del told["gbMonths"]
    assert told == {"objects": 1, "size": len(PNG), "reserved": 1000, "quota": 5 * 10**9, "pricePerGbMonth": 1.5}
    body = {"filename": "a", "kind": "weights", "size": 5 * 10**9}
    refused = on_disk.call("/v1/storage/upload", body, caller.secret)
    assert (refused.status, refused.error["type"]) == (413, "request_too_large")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"kind": "input"}, "filename"),
        ({"filename": "", "kind": "input"}, "filename"),
        ({"filename": "a", "kind": "other"}, "kind"),
        ({"filename": "a", "kind": "input", "size": -1}, "size"),
        ({"filename": "a", "kind": "input", "ownerId": "acc_1"}, "ownerId"),
    ],
)
def test_a_bad_announcement_names_its_field(body: Any, param: str, on_disk: Server):
    answer = on_disk.call("/v1/storage/upload", body, on_disk.caller().secret)
    assert (answer.status, answer.error["param"]) == (400, param)


def test_a_body_that_is_refused_half_way_spoils_no_other_request(on_disk: Server):
    """The control process answers before it has read the body; no other request may be taken for the rest of it."""
    caller = on_disk.caller()
    head = b"PUT /v1/uploads/obj_1?until=9&s=x HTTP/1.1\r\nhost: x\r\ncontent-length: 9000000000\r\n\r\n"
    for _ in range(5):
        with raw.Raw(on_disk.url) as client:
            client.send(head)
            assert client.answer().status == 403
            assert ask(on_disk, "/v1/storage", caller).json["data"] == []
            client.send(b"GET /v1/storage HTTP/1.1\r\nhost: x\r\n\r\n")
            assert client.is_closed()
