"""Every vendor file found, one by one."""

from pathlib import Path

import pytest

from hypereal.providers import LOCAL, Provider, load, request_for
from hypereal.providers.drivers import DRIVERS, Request

SECRET = "secret-credential"
ROWS = load({}, {}, Path("/run/local.sock"))
VENDORS = sorted(ROWS.keys() - {LOCAL})
NAMED = frozenset(
    {"openai", "anthropic", "google", "deepseek", "dashscope", "zai", "moonshot", "minimax", "xai", "openrouter"}
    | {"toapis", "groq", "mistral", "together", "fireworks", "ollama", "vllm", "lmstudio", "local"}
    | {"bedrock", "vertex", "bfl", "ark", "kling", "vidu", "fal", "replicate", "fish", "elevenlabs"}
)

PLACES = {"bedrock": {"region": "eu-west-1"}, "vertex": {"project": "p-1"}}
"""What two vendors need besides a key to have an address."""


def keyed(name: str) -> Provider:
    return load({name: {"api_key": SECRET, **PLACES.get(name, {})}}, {}, Path("/run/local.sock"))[name]


def test_the_named_vendors_are_there() -> None:
    assert ROWS.keys() >= NAMED


@pytest.mark.parametrize("name", ROWS)
def test_nothing_but_the_local_model_is_usable_before_anyone_configures_it(name: str) -> None:
    assert ROWS[name].is_usable == (name == LOCAL)


@pytest.mark.parametrize("name", VENDORS)
def test_a_key_makes_it_usable_and_reaches_it_in_every_dialect_once(name: str) -> None:
    provider = keyed(name)
    assert provider.is_usable
    assert SECRET not in repr(provider)
    for dialect in provider.base_urls:
        request = request_for(provider, dialect, "model-1")
        assert [SECRET.encode() in value for _, value in request.headers].count(True) == 1
        assert SECRET not in repr(request)
        assert request.is_tls or request.host == "127.0.0.1"
        assert request.target.startswith(b"/")
        assert b"//" not in request.target


@pytest.mark.parametrize("name", VENDORS)
def test_what_drives_it_is_there_and_reaches_it_once(name: str) -> None:
    provider = keyed(name)
    assert provider.base_urls or provider.driver
    if provider.driver is not None:
        driver = DRIVERS[provider.driver]
        signed = driver.sign(provider, Request(method="GET", url="/x"), at_unix_s=0)
        assert [SECRET in value for value in signed.headers.values()].count(True) == 1
        assert signed.url.startswith("https://")
        assert SECRET not in repr(signed)


@pytest.mark.parametrize("name", VENDORS)
def test_its_base_url_can_be_pointed_elsewhere_as_a_whole(name: str) -> None:
    variable = f"{name.upper()}_BASE_URL"
    provider = load({}, {variable: "http://127.0.0.1:9999/v1"}, Path("/run/local.sock"))[name]
    for dialect in provider.base_urls:
        assert request_for(provider, dialect, "model-1").authority == b"127.0.0.1:9999"
    assert provider.driver is None or provider.media_url.startswith("http://127.0.0.1:9999")
