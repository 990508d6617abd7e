"""What vendors tell us by themselves: signed rightly, wrongly, too late, or not at all."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from standardwebhooks import Webhook

from hypereal.providers.drivers import DRIVERS, Call, Callback, Pushed, Secret

NOW = 1_767_225_600
SECRET = b"0123456789abcdef0123456789abcdef"


def call(body: object, path: str = "/callbacks/1", query: str = "", **headers: str) -> Call:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Call(method="POST", path=path, query=query, headers=named, body=raw)


def callback_of(name: str) -> Callback:
    found = DRIVERS[name].callback
    assert found is not None
    return found


def read(name: str, said: Call, *secrets: bytes, at: int = NOW) -> Pushed | None:
    return callback_of(name).read(said, secrets, at)


def mac(secret: bytes, message: bytes) -> str:
    return hmac.new(secret, message, hashlib.sha256).hexdigest()


def signed_by_toapis(body: bytes, at: int, secret: bytes = SECRET) -> Call:
    signature = "v1=" + "0" * 64 + ",v1=" + mac(secret, f"evt-1.{at}.".encode() + body)
    return call(
        body,
        x_toapis_webhook_id="evt-1",
        x_toapis_webhook_timestamp=str(at),
        x_toapis_webhook_signature=signature,
    )


def signed_by_bfl(body: bytes, at: int, secret: bytes = SECRET) -> Call:
    return call(body, x_bfl_signature=f"sha256={mac(secret, body)}")


def signed_by_vidu(body: bytes, at: int, secret: bytes = SECRET) -> Call:
    date = "Thu, 01 Jan 2026 00:00:00 GMT"
    message = f"POST\n/callbacks/1\na=1\nvidu\n{date}\nDate:{date}\nx-request-nonce:n-1\n"
    signature = base64.b64encode(hmac.new(secret, message.encode(), hashlib.sha256).digest()).decode()
    headers = {"date": date, "x-request-nonce": "n-1", "x-hmac-signed-headers": "Date;x-request-nonce"}
    said = call(body, query="a=1", x_hmac_signature=signature)
    return msgspec.structs.replace(said, headers={**said.headers, **headers})


def standard(body: bytes, at: int, secret: bytes = SECRET) -> Call:
    hook = Webhook(b"whsec_".decode() + base64.b64encode(secret).decode())
    signature = hook.sign("msg-1", datetime.fromtimestamp(at, UTC), body.decode())
    return call(body, webhook_id="msg-1", webhook_timestamp=str(at), webhook_signature=f"v1,bm8= {signature}")


FAL_KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))


def key_set(key: Ed25519PrivateKey = FAL_KEY) -> bytes:
    public = base64.urlsafe_b64encode(key.public_key().public_bytes_raw()).rstrip(b"=").decode()
    return json.dumps({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": public}]}).encode()


def signed_by_fal(body: bytes, at: int, key: Ed25519PrivateKey = FAL_KEY) -> Call:
    message = f"req-1\nuser-1\n{at}\n{hashlib.sha256(body).hexdigest()}"
    headers = {"request_id": "req-1", "user_id": "user-1", "timestamp": str(at)}
    signature = key.sign(message.encode()).hex()
    return call(body, **{f"x_fal_webhook_{name}": value for name, value in {**headers, "signature": signature}.items()})


WHSEC = b"whsec_" + base64.b64encode(SECRET)
SIGNERS = {
    "toapis": (signed_by_toapis, SECRET, {"id": "evt-1", "data": {"task_id": "task-1"}}),
    "bfl": (signed_by_bfl, SECRET, {"id": "task-1", "status": "Ready"}),
    "vidu": (signed_by_vidu, SECRET, {"id": "task-1", "state": "success"}),
    "replicate": (standard, WHSEC, {"id": "task-1", "status": "succeeded"}),
    "openai": (standard, WHSEC, {"type": "video.completed", "data": {"id": "task-1"}}),
    "fal": (signed_by_fal, key_set(), {"request_id": "task-1", "status": "OK"}),
}
UNSIGNED = {name for name, one in DRIVERS.items() if one.callback is not None and one.callback.secret is Secret.NONE}


def test_every_vendor_that_signs_is_tried_here() -> None:
    signing = {name for name, one in DRIVERS.items() if one.callback is not None and one.callback.verify is not None}
    assert signing == SIGNERS.keys()
    assert {"ark", "kling", "minimax"} == UNSIGNED


@pytest.mark.parametrize("name", SIGNERS)
def test_a_good_signature_names_the_task(name: str) -> None:
    sign, secret, body = SIGNERS[name]
    said = sign(json.dumps(body).encode(), NOW)
    assert read(name, said, secret) == Pushed(task_id="task-1", is_signed=True)
    assert read(name, said, b"another", secret) is not None, "one of several secrets is enough"


@pytest.mark.parametrize("name", SIGNERS)
def test_a_signature_by_another_secret_or_none_at_all_is_refused(name: str) -> None:
    sign, secret, body = SIGNERS[name]
    said = sign(json.dumps(body).encode(), NOW)
    assert read(name, said) is None
    assert read(name, said, b"") is None
    other = key_set(Ed25519PrivateKey.from_private_bytes(b"1" * 32)) if name == "fal" else b"whsec_b3RoZXI="
    assert read(name, said, other) is None
    assert read(name, msgspec.structs.replace(said, headers={}), secret) is None


@pytest.mark.parametrize("name", sorted(SIGNERS.keys() - {"vidu"}))
def test_a_body_that_was_changed_is_refused_where_it_is_signed(name: str) -> None:
    sign, secret, body = SIGNERS[name]
    said = sign(json.dumps(body).encode(), NOW)
    assert read(name, msgspec.structs.replace(said, body=said.body + b" "), secret) is None


def test_a_place_that_was_changed_is_refused_where_that_is_signed() -> None:
    said = signed_by_vidu(b"{}", NOW)
    assert read("vidu", said, SECRET) is not None
    assert read("vidu", msgspec.structs.replace(said, path="/callbacks/2"), SECRET) is None


@pytest.mark.parametrize("name", sorted(SIGNERS.keys() - {"vidu", "bfl"}))
@pytest.mark.parametrize("late_s", [-301, 301])
def test_what_was_signed_long_ago_or_in_the_future_is_refused(name: str, late_s: int) -> None:
    sign, secret, body = SIGNERS[name]
    said = sign(json.dumps(body).encode(), NOW)
    assert read(name, said, secret, at=NOW + late_s) is None
    assert read(name, said, secret, at=NOW + late_s // 2) is not None


def test_older_deployments_of_bfl_send_the_secret_itself() -> None:
    body = {"id": "task-1"}
    assert read("bfl", call(body, x_webhook_secret=SECRET.decode()), SECRET) == Pushed(task_id="task-1", is_signed=True)
    assert read("bfl", call(body, x_webhook_secret="other"), SECRET) is None
    assert read("bfl", call(body, x_webhook_secret=""), b"") is None


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("ark", {"id": "task-1"}),
        ("kling", {"task_id": "task-1"}),
        ("minimax", {"task_id": "task-1", "status": "success"}),
    ],
)
def test_what_nobody_signs_is_a_hint(name: str, body: dict[str, str]) -> None:
    assert read(name, call(body)) == Pushed(task_id="task-1", is_signed=False)


def test_minimax_hears_its_challenge_back() -> None:
    assert read("minimax", call({"challenge": "c-1"})) == Pushed(
        task_id="", is_signed=False, reply=b'{"challenge":"c-1"}'
    )
    hostile = read("minimax", call({"challenge": {"x": 1}}))
    assert hostile is not None and hostile.reply == b""


@pytest.mark.parametrize("name", [*SIGNERS, *sorted(UNSIGNED)])
@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"[" * 100_000, b'{"id": '])
def test_noise_is_refused(name: str, body: bytes) -> None:
    sign, secret, _ = SIGNERS.get(name, (lambda said, at: call(said), b"", None))
    assert read(name, sign(body, NOW), secret) is None


@pytest.mark.parametrize("secret", [b"", b"{", b'{"keys": [{"x": 5}, {"x": "!!"}]}', b'{"keys": [{"x": "YWJj"}]}'])
def test_a_key_set_that_is_none_verifies_nothing(secret: bytes) -> None:
    assert read("fal", signed_by_fal(b"{}", NOW), secret) is None
