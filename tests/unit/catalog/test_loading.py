"""The operator's tables over the built-in ones."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hypereal import providers
from hypereal.catalog import Catalog, Kind, load, loading, price_of
from hypereal.kit.dialects import Dialect
from hypereal.kit.settings import BadSettings
from hypereal.kit.usage import Usage

BUILT_IN = {name: row.base_urls for name, row in providers.load({}, {}, Path("/run/local.sock")).items()}
ACME = {**BUILT_IN, "acme": (Dialect.OPENAI_CHAT,)}
NEW = {"targets": ["acme:x"]}


def loaded(overrides: dict[str, dict[str, Any]]) -> Catalog:
    return load(overrides, ACME)


def test_an_override_replaces_only_the_keys_it_names() -> None:
    before = loaded({}).models["gpt-5.5"]
    after = loaded({"gpt-5.5": {"price": {"input": Decimal("1.25")}, "intents": ["code"]}}).models["gpt-5.5"]
    assert before.price is not None
    assert after.price is not None
    assert after.price.input == 125_000_000
    assert after.price.output == before.price.output
    assert after.price.version != before.price.version
    assert after.targets == before.targets
    assert after.intents == ("code",)


def test_cache_and_long_context_rates_follow_an_overridden_input() -> None:
    price = loaded({"gpt-5.4": {"price": {"input": 10}}}).models["gpt-5.4"].price
    assert price is not None
    assert price.cache_read == price.input // 10
    assert price.long_context[0].input == 2 * price.input


def test_anthropic_caches_cost_a_tenth_to_read_and_more_to_write() -> None:
    price = loaded({}).models["claude-opus-4-6"].price
    assert price is not None
    assert (price.input, price.cache_read, price.cache_write, price.cache_write_1h) == (
        400_000_000,
        40_000_000,
        500_000_000,
        800_000_000,
    )


def test_sources_say_where_each_value_is_from() -> None:
    model = loaded({"gpt-5.5": {"price": {"input": 1}, "intents": ["code"]}}).models["gpt-5.5"]
    assert model.sources["intents"] == "hypereal.toml"
    assert model.sources["price.input"] == "hypereal.toml"
    assert model.sources["price.output"] == "built-in"
    assert model.sources["targets"] == "built-in"


def test_what_an_operator_writes_is_no_longer_assumed() -> None:
    assert "price" in loaded({}).models["gpt-5.5"].assumed
    assert "price" not in loaded({"gpt-5.5": {"price": {"input": 1, "output": 2}}}).models["gpt-5.5"].assumed
    model = loaded({"gpt-5.3": {"context_tokens_max": 5000}}).models["gpt-5.3"]
    assert "context_tokens_max" not in model.assumed
    assert "output_tokens_max" in model.assumed


def test_a_new_model_takes_the_dialects_of_its_first_targets_provider() -> None:
    model = loaded({"acme-1": {"targets": ["acme:one", "openai:two"], "price": {"input": 1, "output": 2}}}).models[
        "acme-1"
    ]
    assert model.kind is Kind.CHAT
    assert model.endpoints == {Dialect.OPENAI_CHAT}
    assert model.assumed >= {"price.cache_read", "price.cache_write", "context_tokens_max", "output_tokens_max"}
    assert model.price is not None
    assert model.price.cache_read == model.price.input // 10
    assert model.price.cache_write == model.price.input


def test_a_new_model_of_a_known_vendor_is_like_its_others() -> None:
    model = loaded(
        {"claude-x": {"targets": [{"target": "anthropic:x", "weight": 3}], "price": {"input": 1, "output": 2}}}
    )
    claude = model.models["claude-x"]
    assert claude.endpoints == {Dialect.ANTHROPIC_MESSAGES}
    assert claude.targets[0].weight == 3
    assert claude.price is not None
    assert claude.price.cache_write_1h == 2 * claude.price.input
    assert claude.cache_tokens_min == 4096
    assert "cache_tokens_min" in claude.assumed


def test_the_least_cacheable_length_is_the_operators_where_one_is_given() -> None:
    assert "cache_tokens_min" in loaded({}).models["claude-sonnet-4-6"].assumed
    model = loaded({"claude-sonnet-4-6": {"cache_tokens_min": 1024}}).models["claude-sonnet-4-6"]
    assert model.cache_tokens_min == 1024
    assert "cache_tokens_min" not in model.assumed


def test_loading_twice_changes_nothing_of_the_operators_tables() -> None:
    overrides = {"gpt-5.5": {"price": {"input": 1}}, "kling-v3": {"media_price": {"credits": 9}}, "n": dict(NEW)}
    loaded(overrides)
    assert overrides == {"gpt-5.5": {"price": {"input": 1}}, "kling-v3": {"media_price": {"credits": 9}}, "n": NEW}
    assert loaded(overrides).models["kling-v3"].media_price == loaded(overrides).models["kling-v3"].media_price


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"pirce": {}}, "pirce"),
        ({"price": {"input": 1, "output": 2, "inputt": 3}}, "inputt"),
        ({"price": {"input": 0, "output": 2}}, "zero is refused"),
        ({"price": {"input": 1, "output": -2}}, "out of range"),
        ({"price": {"input": Decimal("NaN"), "output": 2}}, "out of range"),
        ({"price": {"input": Decimal("1e999999"), "output": 2}}, "price.input: out of range"),
        ({"price": {"input": 1, "output": 2}, "cache_ratio": {"read": Decimal("1e999999")}}, "cache_ratio.read"),
        ({"price": {"input": True, "output": 2}}, "decimal"),
        ({"price": {"input": Decimal("0.000000001"), "output": 2}}, "more decimals"),
        ({"price": {"input": 1, "output": 2, "web_search": 0}}, "web_search: zero"),
        (
            {
                "price": {
                    "input": 1,
                    "output": 2,
                    "long_context": [{"above_tokens": 9, "input_times": 1, "output_times": 0.5}],
                }
            },
            "may not cost less",
        ),
        ({"intents": ["chat-nice"]}, "no 'chat-nice'"),
        ({"aliases": ["gpt-5"]}, "already means gpt-5"),
        ({"aliases": ["n"]}, "already means n"),
        ({"aliases": ["a b"]}, "cannot be an id"),
        ({"targets": ["nowhere:x"]}, "no provider 'nowhere'"),
        ({"targets": ["acme"]}, "not 'provider:model'"),
        ({"targets": []}, "needs targets"),
        ({"targets": [{"target": "acme:x", "cost": {"input": 1}}]}, "cost: needs input and output"),
        ({"targets": [{"target": "acme:x", "cost": {"input": 0, "output": 1}}]}, "cost: price.input: zero is refused"),
        ({"targets": [{"target": "acme:x", "cost": 5}]}, "targets"),
        ({"targets": [{"target": "acme:x", "dialects": ["gemini"]}]}, "does not speak gemini"),
        ({"kind": "picture"}, "picture"),
        ({"kind": "image", "endpoints": ["gemini"]}, "only models of kind chat"),
        ({"endpoints": []}, "at least one"),
        ({"context_tokens_max": 0}, "context_tokens_max"),
        ({"cache_tokens_min": 0}, "cache_tokens_min"),
        ({"media_price": {"per": "mile", "credits": 1}}, "mile"),
        ({"media_price": {"per": "image", "credits": 0}}, "zero is refused"),
    ],
)
def test_a_bad_table_is_refused_and_the_message_names_file_model_and_key(table: dict[str, Any], message: str) -> None:
    with pytest.raises(BadSettings) as caught:
        loaded({"n": {**NEW, **table}})
    assert str(caught.value).startswith('hypereal.toml: models."n": ')
    assert message in str(caught.value)


def test_free_must_be_written_to_be_had() -> None:
    price = loaded({"n": {**NEW, "price": {"input": 0, "output": 0, "free": True}}}).models["n"].price
    assert price is not None
    assert price.input == 0


@pytest.mark.parametrize("price", [{"input": 1}, {"output": 1}, {}])
def test_half_a_price_is_no_price(price: dict[str, Any]) -> None:
    assert loaded({"n": {**NEW, "price": price}}).models["n"].price is None


def test_an_id_in_two_files_is_refused() -> None:
    file = loading._read("a.toml", '[models."m"]\nkind = "chat"\n')
    with pytest.raises(BadSettings, match=r'models/b.toml: models."m": also in models/a.toml'):
        loading._built_in({"a": file, "b": file})


@pytest.mark.parametrize("text", ["[models.x", "[modells.x]\n[models]", "[defaults]"])
def test_a_file_of_another_form_is_refused_by_name(text: str) -> None:
    with pytest.raises(BadSettings, match=r"^a\.toml: "):
        loading._read("a.toml", text)


def test_a_family_of_a_model_that_is_not_there_is_refused() -> None:
    family = loading._FamilyTable(pattern="gpt-.*", model="gpt-99")
    with pytest.raises(BadSettings, match="there is no model 'gpt-99'"):
        loading._families([family], {})


def test_a_target_says_what_its_vendor_takes() -> None:
    cost = {"input": Decimal("0.5"), "output": 5}
    free = {"input": 0, "output": 0, "free": True, "web_search": 0}
    targets = [{"target": "acme:x", "cost": cost}, {"target": "acme:own", "cost": free}, "acme:y"]
    known, own, unknown = loaded({"m": {"targets": targets, "price": {"input": 1, "output": 10}}}).models["m"].targets
    assert known.cost is not None and own.cost is not None
    assert (known.cost.input, known.cost.output, known.cost.cache_read) == (50_000_000, 500_000_000, 5_000_000)
    assert price_of(own.cost, Usage(input_tokens=10**6)) == 0
    assert unknown.cost is None
