"""The operator's `[providers]` and the environment over the built-in vendors."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hypereal.kit.dialects import Dialect
from hypereal.kit.settings import BadSettings
from hypereal.providers import AccessKeys, Auth, Provider, load

ACME = {"dialects": ["openai_chat", "anthropic_messages"], "base_url": "https://api.acme.example/v1"}


def loaded(name: str, table: dict[str, Any] | None = None, **environ: str) -> Provider:
    return load({} if table is None else {name: table}, environ, Path("/run/h/local.sock"))[name]


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("openai", "OPENAI_API_KEY"),
        ("google", "GEMINI_API_KEY"),
        ("dashscope", "DASHSCOPE_API_KEY"),
        ("zai", "ZAI_API_KEY"),
    ],
)
def test_a_vendor_is_usable_once_its_key_is_in_the_environment(name: str, variable: str) -> None:
    assert not loaded(name).is_usable
    assert not loaded(name, **{variable: ""}).is_usable
    usable = loaded(name, **{variable: "k-1"})
    assert usable.is_usable
    assert usable.api_keys == ("k-1",)


def test_a_provider_with_no_code_has_its_dialects_at_one_base_url() -> None:
    acme = loaded("acme", ACME, ACME_API_KEY="k")
    assert acme.is_usable
    assert acme.base_urls == {
        Dialect.OPENAI_CHAT: "https://api.acme.example/v1",
        Dialect.ANTHROPIC_MESSAGES: "https://api.acme.example",
    }
    assert acme.auth == {Dialect.OPENAI_CHAT: Auth.BEARER, Dialect.ANTHROPIC_MESSAGES: Auth.X_API_KEY}


def test_a_vendor_of_media_alone_has_a_driver_and_no_dialect() -> None:
    bfl = loaded("bfl", BFL_API_KEY="k-1")
    assert bfl.is_usable
    assert (bfl.driver, bfl.media_url, bfl.base_urls) == ("bfl", "https://api.bfl.ai", {})
    assert loaded("acme", ACME).driver is None
    assert loaded("acme", ACME).media_url == ""


@pytest.mark.parametrize(
    ("name", "media_url"),
    [
        ("openai", "http://127.0.0.1:9/v1"),
        ("google", "http://127.0.0.1:9/v1beta"),
        ("dashscope", "http://127.0.0.1:9/api/v1"),
        ("minimax", "http://127.0.0.1:9"),
        ("xai", "http://127.0.0.1:9/v1"),
    ],
)
def test_what_moves_a_vendor_moves_its_media_too(name: str, media_url: str) -> None:
    assert loaded(name, **{f"{name.upper()}_BASE_URL": "http://127.0.0.1:9/v1"}).media_url == media_url


def test_a_provider_of_ones_own_can_be_driven_like_a_vendor() -> None:
    table = {
        "base_url": "https://acme.example",
        "driver": "openai",
        "driver_path": "/media/v1/",
        "callback_secret": "s-1",
    }
    acme = loaded("acme", table, ACME_API_KEY="k")
    assert (acme.driver, acme.media_url, acme.callback_secret) == ("openai", "https://acme.example/media/v1", "s-1")
    assert "s-1" not in repr(acme)


def test_two_keys_make_a_credential_only_together() -> None:
    assert not loaded("kling", KLING_ACCESS_KEY="a").is_usable
    assert loaded("kling", KLING_API_KEY="k").is_usable
    both = loaded("kling", KLING_ACCESS_KEY="a", KLING_SECRET_KEY="s")
    assert both.credentials == AccessKeys(access_key="a", secret_key="s")
    assert both.is_usable
    assert not loaded("kling", KLING_ACCESS_KEY="a b", KLING_SECRET_KEY="s").is_usable
    with pytest.raises(BadSettings, match="access_key_id"):
        loaded("kling", {"access_key_id": "a b", "secret_access_key": "s"})


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"base_url": "https://a.example"}, "no driver"),
        ({"base_url": "https://a.example", "driver": "../x"}, "driver"),
        ({**ACME, "auth": "access_keys"}, "access_keys"),
        ({"base_url": "https://a.example", "driver": "bfl", "driver_path": "x y"}, "driver_path"),
        ({"base_url": "http://a.example", "driver": "bfl"}, "https only"),
    ],
)
def test_a_provider_that_cannot_be_driven_is_refused(table: dict[str, Any], words: str) -> None:
    with pytest.raises(BadSettings, match=words):
        loaded("acme", table)


@pytest.mark.parametrize("name", ["ollama", "vllm", "lmstudio"])
def test_a_server_without_keys_is_usable_only_when_it_is_configured(name: str) -> None:
    assert not loaded(name).is_usable
    assert loaded(name, **{f"{name.upper()}_BASE_URL": "http://10.0.0.7:8000/v1"}).is_usable
    assert loaded(name, {}).is_usable
    with_key = loaded(name, {"api_key": "secret"})
    assert with_key.api_keys == ("secret",)
    assert with_key.auth[Dialect.OPENAI_CHAT] is Auth.BEARER


def test_the_local_model_is_always_usable_at_its_socket() -> None:
    local = loaded("local", LOCAL_BASE_URL="http://127.0.0.1:1/v1")
    assert local.is_usable
    assert local.base_urls[Dialect.OPENAI_CHAT] == "http+unix:///run/h/local.sock|/v1"


def test_settings_win_over_the_environment_and_that_over_the_built_in_row() -> None:
    assert loaded("deepseek", DEEPSEEK_BASE_URL="http://127.0.0.1:9/v1").base_urls == {
        Dialect.OPENAI_CHAT: "http://127.0.0.1:9/v1",
        Dialect.ANTHROPIC_MESSAGES: "http://127.0.0.1:9/anthropic",
    }
    table = {"base_url": "https://own.example/v1", "api_key": "mine"}
    own = loaded("openai", table, OPENAI_BASE_URL="http://127.0.0.1:9/v1", OPENAI_API_KEY="theirs")
    assert own.base_urls[Dialect.OPENAI_CHAT] == "https://own.example/v1"
    assert own.api_keys == ("mine",)


def test_a_secret_comes_from_a_variable_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from-file\n")
    assert loaded("acme", {**ACME, "api_key": {"env": "OTHER"}}, OTHER="from-env").api_keys == ("from-env",)
    assert loaded("acme", {**ACME, "api_key": {"file": str(tmp_path / "key")}}).api_keys == ("from-file",)
    assert loaded("acme", {**ACME, "headers": {"x-org": {"env": "ORG"}}}, ORG="o").headers == {"x-org": "o"}


def test_keys_are_each_used_once_in_order_and_those_that_are_not_set_are_left_out() -> None:
    several = {**ACME, "api_keys": [{"env": "FIRST"}, {"env": "UNSET"}, "k-2", {"env": "FIRST"}]}
    assert loaded("acme", several, FIRST="k-1", ACME_API_KEY="unused").api_keys == ("k-1", "k-2")
    assert loaded("acme", {**several, "api_key": "k-0"}, FIRST="k-1").api_keys == ("k-0", "k-1", "k-2")
    assert loaded("acme", {**ACME, "api_keys": [{"env": "UNSET"}]}).api_keys == ()


def test_no_repr_shows_a_credential() -> None:
    acme = loaded("acme", {**ACME, "headers": {"x-token": "hidden-1"}}, ACME_API_KEY="hidden-2")
    assert "hidden" not in f"{acme!r} {acme}"


@pytest.mark.parametrize(
    "base_url",
    ["http://127.0.0.1:9/v1", "http://[::1]:9", "http://192.168.1.4/v1", "http://vllm:8000/v1", "https://a.example"],
)
def test_plain_http_is_for_this_machine_or_network(base_url: str) -> None:
    assert loaded("acme", {**ACME, "base_url": base_url}).base_urls


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"base_url": "http://api.acme.example/v1"}, "https only"),
        ({"base_url": "http://8.8.8.8/v1"}, "https only"),
        ({"base_url": "http://134744072/v1"}, "https only"),
        ({"base_url": "https://user:pw@acme.example/v1"}, "holds a credential"),
        ({"base_url": "https://acme.example/v1?key=1"}, "plain path"),
        ({"base_url": "https://acme.example/a b"}, "plain path"),
        ({"base_url": "https://acme .example/v1"}, "give https"),
        ({"base_url": "ftp://acme.example"}, "give https"),
        ({"base_url": "acme.example"}, "give https"),
        ({"base_url": "https://acme.example:99999/"}, "not a URL"),
        ({"base_url": "http+unix://relative|/v1"}, "unix socket"),
        ({"dialects": []}, "dialects"),
        ({"dialects": ["smoke"]}, "smoke"),
        ({"base_urll": "x"}, "base_urll"),
        ({"timeout_s": 0}, "timeout_s"),
        ({"timeout_s": Decimal("NaN")}, "timeout_s"),
        ({"timeout_s": 10_000}, "timeout_s"),
        ({"auth": "magic"}, "magic"),
        ({"api_key": "line\nbreak"}, "api_key"),
        ({"api_key": {"vault": "x"}}, "api_key"),
        ({"api_key": {"file": "/does/not/exist"}}, "api_key"),
        ({"headers": {"Host": "x"}}, "'Host' cannot be set"),
        ({"headers": {"bad name": "x"}}, "cannot be set"),
        ({"headers": {"x-a": "1\r\nx-b: 2"}}, "headers.x-a"),
        ({"paths": {"anthropic_messages": "no-slash"}}, "paths.anthropic_messages"),
    ],
)
def test_a_bad_table_is_refused_and_the_message_names_provider_and_key(table: dict[str, Any], message: str) -> None:
    with pytest.raises(BadSettings) as caught:
        loaded("acme", {**ACME, **table})
    assert str(caught.value).startswith("providers.acme")
    assert message in str(caught.value)
    assert "user:pw" not in str(caught.value)


def test_a_provider_without_an_address_or_with_a_bad_name_is_refused() -> None:
    with pytest.raises(BadSettings, match="base_url"):
        loaded("acme", {"dialects": ["gemini"]})
    with pytest.raises(BadSettings, match="a name is"):
        loaded("Acme:1", ACME)
