"""What vendors tell us by themselves: signed rightly, wrongly, too late, or not at all."""

import base64
import json

import msgspec
import pytest
from tests.support.media_vendors.callbacks import SIGNERS, key_set, signed_call

from hypereal.providers.drivers import DRIVERS, Call, Pushed, Secret

NOW = 1_767_225_600
PLAIN = b"0123456789abcdef0123456789abcdef"
WHSEC = b"whsec_" + base64.b64encode(PLAIN)
SECRETS = {name: WHSEC if name in ("replicate", "openai") else PLAIN for name in SIGNERS}
OTHER = {name: b"whsec_b3RoZXI=" if name in ("replicate", "openai") else b"1" * 32 for name in SIGNERS}
BODIES = {
    "toapis": {"id": "evt-1", "data": {"task_id": "task-1"}},
    "bfl": {"id": "task-1", "status": "Ready"},
    "vidu": {"id": "task-1", "state": "success"},
    "replicate": {"id": "task-1", "status": "succeeded"},
    "openai": {"type": "video.completed", "data": {"id": "task-1"}},
    "fal": {"request_id": "task-1", "status": "OK"},
    "ark": {"id": "task-1", "status": "succeeded"},
    "kling": {"task_id": "task-1", "task_status": "succeed"},
    "minimax": {"task_id": "task-1", "status": "success"},
}
CALLING = {name: one.callback for name, one in DRIVERS.items() if one.callback is not None}
UNSIGNED = sorted(CALLING.keys() - SIGNERS.keys())


def said_by(name: str, body: object = None, *, at: int = NOW, secret: bytes | None = None) -> Call:
    told = BODIES[name] if body is None else body
    return signed_call(name, told, SECRETS.get(name, b"") if secret is None else secret, at=at)


def read(name: str, call: Call, secret: bytes | None = None, *, at: int = NOW) -> Pushed | None:
    """CALL read with SECRET; with none for ''."""
    found = SECRETS.get(name, b"") if secret is None else secret
    known = key_set(found) if found and name == "fal" else found
    return CALLING[name].read(call, (known,) if known else (), at)


def test_every_vendor_that_calls_is_tried_here() -> None:
    assert CALLING.keys() == BODIES.keys()
    assert {name for name, one in CALLING.items() if one.verify is not None} == SIGNERS.keys()
    assert {name for name, one in CALLING.items() if one.secret is Secret.NONE} == set(UNSIGNED)
    assert UNSIGNED == ["ark", "kling", "minimax"]


@pytest.mark.parametrize("name", SIGNERS)
def test_a_good_signature_names_the_task(name: str) -> None:
    assert read(name, said_by(name)) == Pushed(task_id="task-1", is_signed=True)


@pytest.mark.parametrize("name", SIGNERS)
def test_one_of_several_secrets_is_enough(name: str) -> None:
    secret = key_set(SECRETS[name]) if name == "fal" else SECRETS[name]
    assert CALLING[name].read(said_by(name), (b"another", secret), NOW) is not None
    assert CALLING[name].read(said_by(name), (b"another", b""), NOW) is None


@pytest.mark.parametrize("name", SIGNERS)
def test_a_signature_by_another_secret_or_none_at_all_is_refused(name: str) -> None:
    assert read(name, said_by(name), b"") is None
    assert read(name, said_by(name), OTHER[name]) is None
    assert read(name, msgspec.structs.replace(said_by(name), headers={})) is None
    garbled = {header: "é" for header in said_by(name).headers}
    assert read(name, msgspec.structs.replace(said_by(name), headers=garbled)) is None


@pytest.mark.parametrize("name", sorted(SIGNERS.keys() - {"vidu"}))
def test_a_body_that_was_changed_is_refused_where_it_is_signed(name: str) -> None:
    said = said_by(name)
    assert read(name, msgspec.structs.replace(said, body=said.body + b" ")) is None


def test_a_place_that_was_changed_is_refused_where_that_is_signed() -> None:
    assert read("vidu", msgspec.structs.replace(said_by("vidu"), path="/callbacks/2")) is None
    assert read("vidu", msgspec.structs.replace(said_by("vidu"), query="a=2")) is None


@pytest.mark.parametrize("name", sorted(SIGNERS.keys() - {"vidu", "bfl"}))
@pytest.mark.parametrize("late_s", [-301, 301])
def test_what_was_signed_long_ago_or_in_the_future_is_refused(name: str, late_s: int) -> None:
    assert read(name, said_by(name), at=NOW + late_s) is None
    assert read(name, said_by(name), at=NOW + late_s // 2) is not None


def test_older_deployments_of_bfl_send_the_secret_itself() -> None:
    said = msgspec.structs.replace(said_by("bfl"), headers={"x-webhook-secret": PLAIN.decode()})
    assert read("bfl", said) == Pushed(task_id="task-1", is_signed=True)
    assert read("bfl", said, b"other") is None
    assert read("bfl", msgspec.structs.replace(said, headers={"x-webhook-secret": ""}), b"") is None


@pytest.mark.parametrize("name", UNSIGNED)
def test_what_nobody_signs_is_a_hint(name: str) -> None:
    assert read(name, said_by(name)) == Pushed(task_id="task-1", is_signed=False)


def test_minimax_hears_its_challenge_back() -> None:
    pushed = read("minimax", said_by("minimax", {"challenge": "c-1"}))
    assert pushed == Pushed(task_id="", is_signed=False, reply=b'{"challenge":"c-1"}')
    hostile = read("minimax", said_by("minimax", {"challenge": {"x": 1}}))
    assert hostile is not None and hostile.reply == b""


@pytest.mark.parametrize("name", sorted(CALLING))
@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"[" * 100_000, b'{"id": '])
def test_noise_is_refused(name: str, body: bytes) -> None:
    assert read(name, said_by(name, body)) is None


@pytest.mark.parametrize("name", sorted(CALLING))
def test_a_task_is_named_by_text_alone_and_bounded(name: str) -> None:
    body = json.loads(json.dumps(BODIES[name]).replace('"task-1"', '{"x": 1}'))
    named = read(name, said_by(name, body))
    assert named is not None
    assert named.task_id in ("", "evt-1")
    long = json.loads(json.dumps(BODIES[name]).replace("task-1", "x" * 10_000))
    assert len((read(name, said_by(name, long)) or named).task_id) <= 500


@pytest.mark.parametrize("keys", [b"", b"{", b'{"keys": [{"x": 5}, {"x": "!!"}]}', b'{"keys": [{"x": "YWJj"}]}'])
def test_a_key_set_that_is_none_verifies_nothing(keys: bytes) -> None:
    assert CALLING["fal"].read(said_by("fal"), (keys,), NOW) is None
