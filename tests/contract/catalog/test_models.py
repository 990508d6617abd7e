"""Every model found in the catalog, one by one; and the ids and prices that the contract publishes."""

from pathlib import Path

import pytest

from hypereal import providers
from hypereal.catalog import Kind, Model, load
from hypereal.kit.dialects import Dialect

ROWS = providers.load({}, {}, Path("/run/local.sock"))
CATALOG = load({}, {name: row.base_urls for name, row in ROWS.items()})
MODELS = [pytest.param(model, id=model.id) for model in CATALOG.models.values()]


def _ids(text: str) -> list[str]:
    return text.split()


CHAT = _ids("""gpt-5 gpt-5.1 gpt-5.2 gpt-5.3 gpt-5.4 gpt-5.5 gpt-5.5-instant gpt-5.5-pro gpt-5.4-mini gpt-5.4-nano
    gpt-5.4-official gpt-5.4-pro-official gpt-5.2-official gpt-5-pro-official glm-5 qwen3.5-plus qwen3.5-flash qwen3-max
    deepseek-v3.2 kimi-k2.5 MiniMax-M2.5 claude-opus-4-6 claude-sonnet-4-6 claude-haiku-4-5
    gpt-5-codex gpt-5-codex-mini gpt-5.1-codex gpt-5.1-codex-mini gpt-5.1-codex-max gpt-5.2-codex gpt-5.3-codex
    gpt-5.3-codex-spark gpt-5.3-codex-official
    gemini-3-pro-official gemini-3-pro-preview-official gemini-3-flash-official gemini-3-flash-preview-official
    gemini-3.1-pro gemini-3.1-pro-preview-official gemini-3.1-fast gemini-3.1-thinking gemini-3.5-thinking
    gemini-3.5-fast gemini-3.1-flash-lite-preview-official gemini-2.5-pro-official gemini-2.5-flash-official
    gemini-2.5-flash-lite-official gemini-2.0-flash-official gemini-2.0-flash-lite-official gemini-2.0-flash-vip
    gemini-2.5-flash-vip gemini-2.5-pro-vip gemini-3-flash-preview-vip""")
IMAGE = _ids("""gpt-image-2 gpt-4o-image nano_banana nano_banana_2 gemini-3.1-flash-image-preview
    gemini-2.5-flash-image-preview flux-kontext-pro flux-2-pro doubao-seedream-4-0 doubao-seedream-4-5
    doubao-seedream-5-0 gemini-3.1-flash-image-preview-official flux-kontext-max gemini-2.5-flash-image-official
    nano_banana_pro gemini-3-pro-image-preview flux-2-flex gemini-3-pro-image-preview-official
    gemini-3-pro-image-preview-4K gemini-3.1-fast-imagen gemini-3.1-thinking-imagen nano-banana-t2i""")
VIDEO = _ids("""gemini_omni_flash wan2.6-flash kling-2-6 MiniMax-Hailuo-02 doubao-seedance-1-0-pro-fast
    MiniMax-Hailuo-2.3 wan2.6 kling-video-o1 kling-v3-omni kling-v3 kling-v3-video doubao-seedance-1-0-pro-quality
    doubao-seedance-2-0 doubao-seedance-2-0-fast doubao-seedance-1-5-pro Veo3.1-fast-official Veo3.1-quality-official
    veo3.1-fast veo3.1-quality vidu-q3-pro grok-video-3""")
PER_CLIP = {
    "gemini_omni_flash",
    "Veo3.1-fast-official",
    "Veo3.1-quality-official",
    "veo3.1-fast",
    "veo3.1-quality",
    "vidu-q3-pro",
    "grok-video-3",
}
KINDS = {
    Kind.CHAT: CHAT,
    Kind.IMAGE: IMAGE,
    Kind.VIDEO: VIDEO,
    Kind.AUDIO: ["audio-tts", "audio-clone", "audio-asr", "gpt-audio-1.5-official"],
    Kind.REALTIME: ["gpt-realtime-1.5-official"],
    Kind.GPU: ["sdxl", "wan-video"],
}

CENTS_IN_AND_OUT = {
    "claude-opus-4-6": (400, 2000),
    "claude-sonnet-4-6": (240, 1200),
    "claude-haiku-4-5": (60, 300),
    "qwen3.5-plus": (60, 360),
    "qwen3-max": (110, 420),
    "qwen3.5-flash": (20, 180),
    "deepseek-v3.2": (60, 240),
    "glm-5": (60, 270),
    "kimi-k2.5": (60, 320),
    "MiniMax-M2.5": (35, 130),
    "gemini-2.0-flash": (8, 36),
    "gemini-2.0-flash-vip": (8, 36),
    "gemini-2.5-flash": (18, 150),
    "gemini-2.5-flash-vip": (18, 150),
    "gemini-2.5-pro": (76, 600),
    "gemini-2.5-pro-vip": (76, 600),
    "gemini-3-flash": (30, 180),
    "gemini-3-flash-preview-official": (30, 180),
    "gemini-3.1-fast": (70, 420),
    "gemini-3.1-pro": (80, 480),
    "gpt-5": (50, 400),
    "gpt-5.4": (100, 600),
    "gpt-5.4-official": (100, 600),
    "gpt-5.4-mini": (30, 180),
    "gpt-5.4-nano": (8, 48),
}

CREDITS = {
    "nano-banana-t2i": {"any": 4},
    "gpt-4o-image": {"any": 2},
    "gpt-image-2": {"1K": 3, "2K": 6, "4K": 12},
    "nano_banana_2": {"0.5K": 3, "1K": 4, "2K": 6, "4K": 9},
    "nano_banana_pro": {"any": 10},
    "doubao-seedance-2-0": {"any": 20},
    "doubao-seedance-2-0-fast": {"any": 10.5},
    "kling-v3": {"any": 8.4},
    "veo3.1-fast": {"any": 72},
    "MiniMax-Hailuo-02": {"any": 2},
    "grok-video-3": {"any": 32},
    "audio-asr": {"any": 1},
    "audio-tts": {"any": 2},
    "sdxl": {"any": 50},
    "wan-video": {"any": 2},
}


@pytest.mark.parametrize(("kind", "model_id"), [(kind, model_id) for kind, ids in KINDS.items() for model_id in ids])
def test_every_id_of_the_contract_is_there_with_its_kind(kind: Kind, model_id: str) -> None:
    assert CATALOG.models[model_id].kind is kind


def test_the_catalog_holds_nothing_that_the_contract_does_not_list() -> None:
    assert CATALOG.models.keys() == {model_id for ids in KINDS.values() for model_id in ids}


@pytest.mark.parametrize(("model_id", "cents"), CENTS_IN_AND_OUT.items())
def test_published_prices_are_the_gateways(model_id: str, cents: tuple[int, int]) -> None:
    model = CATALOG.find(model_id)
    assert model is not None
    assert model.price is not None
    assert (model.price.input, model.price.output) == (cents[0] * 1_000_000, cents[1] * 1_000_000)
    assert "price" not in model.assumed


@pytest.mark.parametrize(("model_id", "tiers"), CREDITS.items())
def test_published_media_prices_are_the_gateways(model_id: str, tiers: dict[str, float]) -> None:
    media_price = CATALOG.models[model_id].media_price
    assert media_price is not None
    assert media_price.tiers == {tier: round(credits * 10) * 100_000 for tier, credits in tiers.items()}
    assert "media_price" not in CATALOG.models[model_id].assumed


@pytest.mark.parametrize("model_id", VIDEO)
def test_video_is_priced_by_the_second_or_by_the_clip_as_listed(model_id: str) -> None:
    media_price = CATALOG.models[model_id].media_price
    assert media_price is not None
    assert media_price.per == ("clip" if model_id in PER_CLIP else "second")


@pytest.mark.parametrize("model", MODELS)
def test_a_model_has_exactly_one_price_and_it_is_published_or_marked(model: Model) -> None:
    assert (model.price is None) != (model.media_price is None)
    published = model.id in CREDITS or model.id in CENTS_IN_AND_OUT or model.id == "Veo3.1-fast-official"
    aliases = CENTS_IN_AND_OUT.keys() & set(model.aliases)
    is_sister = model.id == "gemini-3.1-pro-preview-official" or model.id == "gemini-3-flash-preview-vip"
    assert published or aliases or is_sister or {"price", "media_price"} & model.assumed


@pytest.mark.parametrize("model", MODELS)
def test_a_chat_model_can_reach_a_vendor_in_a_dialect_that_it_is_asked_in(model: Model) -> None:
    assert (model.kind is Kind.CHAT) == bool(model.endpoints)
    for target in model.targets:
        speaks = ROWS[target.provider].base_urls.keys()
        assert (target.dialects or set(speaks)) <= set(speaks)
        if model.kind is Kind.CHAT:
            assert model.endpoints & (target.dialects or speaks)
    assert model.targets or model.kind in (Kind.AUDIO, Kind.GPU)


@pytest.mark.parametrize("model", MODELS)
def test_endpoints_follow_the_family(model: Model) -> None:
    if model.kind is Kind.CHAT:
        assert model.endpoints == ({Dialect.ANTHROPIC_MESSAGES} if model.family == "claude" else set(Dialect))


@pytest.mark.parametrize("model", [m for m in MODELS if m.values[0].price is not None])
def test_token_prices_grow_in_the_order_vendors_have(model: Model) -> None:
    assert model.price is not None
    assert 0 < model.price.cache_read <= model.price.input <= model.price.output
    assert model.price.input <= model.price.cache_write <= model.price.cache_write_1h <= 2 * model.price.input
    assert model.price.web_search == 1_000_000
    assert 0 < model.output_tokens_max <= model.context_tokens_max
    for tier in model.price.long_context:
        assert tier.above_tokens < model.context_tokens_max


@pytest.mark.parametrize("model", MODELS)
def test_a_model_is_found_by_each_of_its_names(model: Model) -> None:
    for name in (model.id, *model.aliases, f"models/{model.id}"):
        assert CATALOG.find(name) is model
    assert all(source == "built-in" for source in model.sources.values())


def test_claude_alone_has_a_least_cacheable_length() -> None:
    assert {model.id: model.cache_tokens_min for model in CATALOG.models.values() if model.cache_tokens_min} == {
        "claude-opus-4-6": 4096,
        "claude-sonnet-4-6": 2048,
        "claude-haiku-4-5": 4096,
    }


def test_every_chat_intent_has_a_model() -> None:
    offered = {intent for model in CATALOG.models.values() for intent in model.intents}
    assert {"chat-fast", "chat-smart", "code"} <= offered
