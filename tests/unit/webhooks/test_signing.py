"""Signatures against the official verifier, and against the specification's own example."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from hypereal.webhooks.signing import new_secret, signed_headers


def test_the_specifications_example_is_signed_as_it_says():
    """Of "Signature scheme" and of the reference libraries' tests."""
    headers = signed_headers(
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@given(body=st.text(max_size=200), message_id=st.text("abc_0123", min_size=1))
def test_the_official_verifier_takes_what_is_signed(body: str, message_id: str):
    secret = new_secret()
    headers = signed_headers([secret], message_id, int(time.time()), body.encode())
    Webhook(secret).verify(body, headers, json_parse=False)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body + "x", headers, json_parse=False)
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret()).verify(body, headers, json_parse=False)


def test_while_a_secret_is_rotated_both_verify():
    new, old = new_secret(), new_secret()
    headers = signed_headers([new, old], "msg_1", int(time.time()), b"{}")
    for secret in (new, old):
        Webhook(secret).verify(b"{}", headers)
    assert len(headers["webhook-signature"].split(" ")) == 2


def test_secrets_are_as_the_specification_wants_them():
    secrets = {new_secret() for _ in range(50)}
    assert len(secrets) == 50
    assert all(secret.startswith("whsec_") and len(secret) == 50 for secret in secrets)
