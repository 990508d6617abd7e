"""Bedrock and Vertex as rows: where they are, what makes them usable, and what only leaves them unused."""

from pathlib import Path
from typing import Any

import pytest
from tests.support.clouds import Google

from hypereal.kit.dialects import Dialect
from hypereal.kit.settings import BadSettings
from hypereal.providers import AwsCredentials, Provider, ServiceAccount, load, request_for

AWS = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "s3cret", "AWS_REGION": "eu-west-1"}
KEY_FILE = Google("https://oauth2.googleapis.com/token").key_file()
MESSAGES, GEMINI = Dialect.ANTHROPIC_MESSAGES, Dialect.GEMINI


def loaded(name: str, table: dict[str, Any] | None = None, **environ: str) -> Provider:
    return load({} if table is None else {name: table}, environ, Path("/run/local.sock"))[name]


@pytest.fixture
def key_file(tmp_path: Path) -> str:
    path = tmp_path / "key.json"
    path.write_text(KEY_FILE)
    return str(path)


def test_bedrock_is_usable_with_key_secret_and_region_only() -> None:
    for missing in AWS:
        assert not loaded("bedrock", **{name: value for name, value in AWS.items() if name != missing}).is_usable
    provider = loaded("bedrock", **AWS)
    assert provider.is_usable
    assert provider.credentials == AwsCredentials(
        access_key_id="AKID", secret_access_key="s3cret", session_token=None, region="eu-west-1"
    )
    request = request_for(provider, MESSAGES, "eu.anthropic.x-v1:0", stream=True)
    assert request.authority == b"bedrock-runtime.eu-west-1.amazonaws.com"
    assert request.target == b"/model/eu.anthropic.x-v1%3A0/invoke-with-response-stream"
    assert request.headers == ()
    assert "s3cret" not in repr(provider)


def test_a_key_of_bedrock_is_sent_as_it_is_instead_of_signing() -> None:
    provider = loaded("bedrock", AWS_BEARER_TOKEN_BEDROCK="ABSK-1", **AWS)
    assert provider.credentials is None
    assert request_for(provider, MESSAGES, "m").headers == ((b"authorization", b"Bearer ABSK-1"),)
    assert not loaded("bedrock", AWS_BEARER_TOKEN_BEDROCK="ABSK-1").is_usable  # where it is, is not known


def test_settings_win_over_the_variables() -> None:
    table = {"region": "us-east-1", "session_token": {"env": "MINE"}}
    credentials = loaded("bedrock", table, MINE="t-1", **AWS).credentials
    assert isinstance(credentials, AwsCredentials)
    assert (credentials.region, credentials.session_token) == ("us-east-1", "t-1")


def test_vertex_is_usable_with_a_key_file_alone(key_file: str) -> None:
    assert not loaded("vertex").is_usable
    provider = loaded("vertex", GOOGLE_APPLICATION_CREDENTIALS=key_file)
    assert provider.is_usable
    assert isinstance(provider.credentials, ServiceAccount)
    request = request_for(provider, MESSAGES, "claude@1")
    assert request.authority == b"aiplatform.googleapis.com"
    assert request.target == (
        b"/v1/projects/project-of-file/locations/global/publishers/anthropic/models/claude@1:rawPredict"
    )


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("global", "aiplatform.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
        ("europe-west1", "europe-west1-aiplatform.googleapis.com"),
    ],
)
def test_a_location_has_its_host(location: str, host: str, key_file: str) -> None:
    places = {"GOOGLE_CLOUD_PROJECT": "p-1", "GOOGLE_CLOUD_LOCATION": location}
    provider = loaded("vertex", GOOGLE_APPLICATION_CREDENTIALS=key_file, **places)
    request = request_for(provider, GEMINI, "gemini-x", stream=True)
    assert request.authority == host.encode()
    assert (
        request.target
        == (
            f"/v1beta1/projects/p-1/locations/{location}/publishers/google/models/gemini-x:streamGenerateContent?alt=sse"
        ).encode()
    )


def test_the_json_itself_may_stand_in_the_settings() -> None:
    assert loaded("vertex", {"credentials": {"env": "JSON"}}, JSON=KEY_FILE).is_usable
    assert loaded("vertex", {"credentials": KEY_FILE, "project": "p-2"}).is_usable


def test_tokens_are_counted_by_vertex_only(key_file: str) -> None:
    provider = loaded("vertex", GOOGLE_APPLICATION_CREDENTIALS=key_file)
    assert request_for(provider, MESSAGES, "m", count_tokens=True).target.endswith(b"/models/count-tokens:rawPredict")
    assert request_for(provider, GEMINI, "m", count_tokens=True).target.endswith(b"/models/m:countTokens")
    with pytest.raises(ValueError, match="counts tokens"):
        request_for(loaded("bedrock", **AWS), MESSAGES, "m", count_tokens=True)


@pytest.mark.parametrize(
    ("name", "variables", "message"),
    [
        ("bedrock", {**AWS, "AWS_REGION": "eu-west-1.evil.example/"}, "region"),
        ("bedrock", {**AWS, "AWS_ACCESS_KEY_ID": "AK\nID"}, "access_key_id"),
        ("vertex", {"GOOGLE_APPLICATION_CREDENTIALS": "/does/not/exist"}, "credentials: No such file"),
        ("vertex", {"GOOGLE_APPLICATION_CREDENTIALS": '{"type": "authorized_user"}'}, "authorized_user"),
        ("vertex", {"GOOGLE_CLOUD_LOCATION": "a/b"}, "location"),
    ],
)
def test_variables_that_are_of_no_use_here_stop_no_server_but_settings_do(
    name: str, variables: dict[str, str], message: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert not loaded(name, **variables).is_usable
    with pytest.raises(BadSettings, match=message) as caught:
        loaded(name, {}, **variables)
    assert str(caught.value).startswith(f"providers.{name}: ")


def test_an_unknown_envelope_is_refused() -> None:
    table = {"dialects": ["anthropic_messages"], "base_url": "https://a.example", "envelope": "paper"}
    with pytest.raises(BadSettings, match="envelope: there is no 'paper'; there are bedrock, vertex"):
        loaded("acme", table)


def test_envelope_and_credential_are_of_two_minds() -> None:
    """A gateway of one's own in front of Bedrock, with a key of its own."""
    table = {"dialects": ["anthropic_messages"], "base_url": "https://a.example/aws", "envelope": "bedrock"}
    provider = loaded("acme", {**table, "auth": "bearer", "api_key": "k"})
    request = request_for(provider, MESSAGES, "m")
    assert (request.target, request.headers) == (b"/aws/model/m/invoke", ((b"authorization", b"Bearer k"),))
