"""Where a call may go: targets with a credential in order, natively before over a bridge, else the local model."""

import ssl
from pathlib import Path

import pytest
from tests.support.clouds import Google

from hypereal import catalog, providers
from hypereal.gateway.routing import Pools, Routing
from hypereal.kit.dialects import Dialect
from hypereal.kit.errors import InvalidRequest


def routing(**environ: str) -> tuple[catalog.Catalog, Routing]:
    known = providers.load({}, environ, Path("/run/local.sock"))
    models = catalog.load({}, {name: frozenset(row.base_urls) for name, row in known.items()})
    return models, Routing(known, Pools(ssl.create_default_context()))


def names(models: catalog.Catalog, routes: Routing, model: str, dialect: Dialect) -> list[str]:
    return [way.target.provider.name for way in routes.ways(models.models[model], dialect)]


def test_targets_without_a_credential_are_skipped():
    models, routes = routing(OPENROUTER_API_KEY="k")
    assert names(models, routes, "gpt-5", Dialect.OPENAI_CHAT) == ["openrouter"]


def test_targets_keep_the_order_of_the_catalog():
    models, routes = routing(OPENAI_API_KEY="k", TOAPIS_API_KEY="k")
    assert names(models, routes, "gpt-5", Dialect.OPENAI_CHAT) == ["openai", "toapis"]


def test_every_model_is_local_where_no_target_has_a_credential():
    models, routes = routing()
    for model in models.models.values():
        for dialect in model.endpoints if model.price else ():
            assert names(models, routes, model.id, dialect) == ["local"]


def test_local_is_never_beside_a_real_target():
    models, routes = routing(OPENAI_API_KEY="k", ANTHROPIC_API_KEY="k", GEMINI_API_KEY="k")
    assert names(models, routes, "gpt-5", Dialect.OPENAI_RESPONSES) == ["openai"]
    assert names(models, routes, "claude-opus-4-6", Dialect.ANTHROPIC_MESSAGES) == ["anthropic"]


@pytest.mark.parametrize("dialect", [Dialect.GEMINI, Dialect.OPENAI_RESPONSES])
def test_a_bridge_stands_where_no_native_target_is(dialect):
    models, routes = routing(DEEPSEEK_API_KEY="k")
    (way,) = routes.ways(models.models["deepseek-v3.2"], dialect)
    assert way.bridge is not None
    assert way.dialect is Dialect.OPENAI_CHAT


def test_a_model_out_of_reach_names_an_endpoint_within():
    models, routes = routing(OPENAI_API_KEY="k")  # which serves this one in Responses only
    with pytest.raises(InvalidRequest, match="/v1/responses"):
        routes.ways(models.models["gpt-5-codex"], Dialect.ANTHROPIC_MESSAGES)


def test_the_head_of_a_request_is_made_once_and_holds_the_key():
    models, routes = routing(GEMINI_API_KEY="secret-1")
    (way, *_) = routes.ways(models.models["gemini-2.5-flash-official"], Dialect.GEMINI)
    _, plain = way.line(stream=False, counts_tokens=False, key_number=0)
    _, stream = way.line(stream=True, counts_tokens=False, key_number=0)
    assert b":generateContent HTTP/1.1\r\n" in plain
    assert b":streamGenerateContent?alt=sse HTTP/1.1\r\n" in stream
    assert b"\r\nx-goog-api-key: secret-1\r\n" in plain
    assert plain.endswith(b"\r\ncontent-length: ")
    assert way.line(stream=False, counts_tokens=False, key_number=0)[1] is plain


def test_each_key_of_a_provider_signs_its_own_head():
    known = providers.load({"openai": {"api_keys": ["secret-1", "secret-2"]}}, {}, Path("/run/local.sock"))
    models = catalog.load({}, {name: frozenset(row.base_urls) for name, row in known.items()})
    routes = Routing(known, Pools(ssl.create_default_context()))
    (way,) = routes.ways(models.models["gpt-5"], Dialect.OPENAI_CHAT)
    (other,) = routes.ways(models.models["gpt-5.4"], Dialect.OPENAI_CHAT)
    heads = [way.line(stream=False, counts_tokens=False, key_number=number)[1] for number in range(way.keys.size)]
    assert [head.count(b"Bearer secret-%d\r\n" % (n + 1)) for n, head in enumerate(heads)] == [1, 1]
    assert other.keys is way.keys


AWS = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "s3cret", "AWS_REGION": "eu-west-1"}


def test_the_clouds_stand_behind_the_vendor():
    models, routes = routing(ANTHROPIC_API_KEY="k", TOAPIS_API_KEY="k", **AWS)
    assert names(models, routes, "claude-opus-4-6", Dialect.ANTHROPIC_MESSAGES) == ["anthropic", "bedrock", "toapis"]


def test_only_what_a_cloud_wants_otherwise_is_sealed():
    models, routes = routing(ANTHROPIC_API_KEY="k", **AWS)
    vendor, cloud = routes.ways(models.models["claude-opus-4-6"], Dialect.ANTHROPIC_MESSAGES)
    assert vendor.seal is None
    assert vendor.counts_tokens
    assert cloud.seal is not None
    assert cloud.seal.is_ready
    assert not cloud.counts_tokens
    _, head = cloud.line(stream=True, counts_tokens=False, key_number=0)
    assert head.startswith(b"POST /model/global.anthropic.claude-opus-4-6-v1/invoke-with-response-stream HTTP/1.1\r\n")
    assert b"s3cret" not in head


def test_a_providers_ways_share_one_access_token(tmp_path: Path):
    key_file = tmp_path / "key.json"
    key_file.write_text(Google("https://oauth2.googleapis.com/token").key_file())
    models, routes = routing(GOOGLE_APPLICATION_CREDENTIALS=str(key_file))
    (claude,) = routes.ways(models.models["claude-opus-4-6"], Dialect.ANTHROPIC_MESSAGES)
    (gemini,) = routes.ways(models.models["gemini-2.5-pro-official"], Dialect.GEMINI)
    assert claude.seal is not None
    assert gemini.seal is not None
    assert claude.seal.token is gemini.seal.token is not None
    assert not claude.seal.is_ready
    assert claude.counts_tokens
    assert gemini.counts_tokens
