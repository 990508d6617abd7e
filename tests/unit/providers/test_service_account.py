"""The key file of a service account, and what is asked with it."""

import json

import pytest
from tests.support.clouds import Google

from hypereal.providers.service_account import read_account, token_request

GOOGLE = Google("https://oauth2.googleapis.com/token")


def test_a_token_is_asked_for_as_the_account_and_for_an_hour() -> None:
    account = read_account(GOOGLE.key_file())
    assert GOOGLE.claims(token_request(account, 1_767_225_600.7)) == {
        "iss": "gateway@project-of-file.iam.gserviceaccount.com",
        "scope": "https://www.googleapis.com/auth/cloud-platform",
        "aud": "https://oauth2.googleapis.com/token",
        "iat": 1_767_225_600,
        "exp": 1_767_229_200,
    }
    assert account.project == "project-of-file"


def test_another_key_is_not_this_one() -> None:
    assert Google("https://x.example").claims(token_request(read_account(GOOGLE.key_file()), 0)) is None


def test_no_repr_shows_the_key() -> None:
    assert repr(read_account(GOOGLE.key_file())) == "ServiceAccount(gateway@project-of-file.iam.gserviceaccount.com)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not the JSON"),
        ("[]", "not the JSON"),
        (json.dumps({"type": "authorized_user", "client_id": "x"}), "'authorized_user'"),
        (GOOGLE.key_file(private_key="-----BEGIN PRIVATE KEY-----\nhidden\n-----END PRIVATE KEY-----"), "private_key"),
        (GOOGLE.key_file(private_key=""), "private_key"),
        (GOOGLE.key_file(client_email=""), "client_email"),
        (GOOGLE.key_file(token_uri="http://oauth2.example.com/token"), "token_uri: https only"),
        (GOOGLE.key_file(token_uri="file:///etc/passwd"), "token_uri"),
    ],
)
def test_a_bad_key_file_is_refused_without_a_word_of_it(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]{0,120}$") as caught:
        read_account(text)
    assert message in str(caught.value)
    assert "hidden" not in str(caught.value)
