"""Reads the built-in tables, lays the operator's over them key by key, and makes the Catalog.

One file of `models/` is one vendor or kind: `[defaults]` holds for each `[models."id"]` in it.
"""

import re
import tomllib
from collections.abc import Collection, Mapping
from decimal import Decimal
from importlib.resources import files
from typing import Any

import msgspec

from hypereal.catalog.catalog import Catalog, Family
from hypereal.catalog.model import Kind, Model
from hypereal.catalog.tables import model_of
from hypereal.kit.dialects import Dialect
from hypereal.kit.settings import BadSettings

BUILT_IN = "built-in"
OPERATOR = "hypereal.toml"
FAMILIES_MAX = 256

Table = Mapping[str, Any]


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    defaults: dict[str, Any] = {}
    models: dict[str, dict[str, Any]]


class _FamilyTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pattern: str
    model: str


class _Names(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    prefixes: list[str]
    families: list[_FamilyTable]


class _Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A model's merged table, and where it was written."""

    table: Table
    sources: Mapping[str, str]
    where: str


def load(overrides: Mapping[str, Table], provider_dialects: Mapping[str, Collection[Dialect]]) -> Catalog:
    """The built-in catalog with OVERRIDES, the operator's `[models]`, laid over it.

    Targets may name only the providers in PROVIDER_DIALECTS. Raises BadSettings that names file, model and key.
    """
    vendors = {path.name.removesuffix(".toml"): _read(path.name, path.read_text("utf-8")) for path in _model_files()}
    drafts = _built_in(vendors)
    for model_id, override in overrides.items():
        drafts[model_id] = _overridden(model_id, override, drafts.get(model_id), vendors, provider_dialects)
    models = {}
    for model_id, draft in drafts.items():
        try:
            models[model_id] = model_of(model_id, draft.table, sources=draft.sources, providers=provider_dialects)
        except ValueError as error:
            raise _bad(draft.where, model_id, error) from None
    _check_names(models, drafts)
    names = msgspec.convert(_toml("names.toml", _folder().joinpath("names.toml").read_text("utf-8")), _Names)
    return Catalog(models, names.prefixes, _families(names.families, models))


def _folder() -> Any:
    return files("hypereal.catalog")


def _model_files() -> list[Any]:
    found = (path for path in _folder().joinpath("models").iterdir() if path.name.endswith(".toml"))
    return sorted(found, key=lambda path: path.name)


def _toml(name: str, text: str) -> Table:
    try:
        return tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise BadSettings(f"{name}: not TOML: {error}") from None


def _read(name: str, text: str) -> _File:
    try:
        return msgspec.convert(_toml(name, text), _File)
    except msgspec.ValidationError as error:
        raise BadSettings(f"{name}: {error}") from None


def _built_in(vendors: Mapping[str, _File]) -> dict[str, _Draft]:
    drafts: dict[str, _Draft] = {}
    for vendor, file in vendors.items():
        where = f"models/{vendor}.toml"
        for model_id, table in file.models.items():
            if model_id in drafts:
                raise _bad(where, model_id, f"also in {drafts[model_id].where}")
            merged = _merged(file.defaults, table)
            drafts[model_id] = _Draft(table=merged, sources=_keys(merged, BUILT_IN), where=where)
    return drafts


def _overridden(
    model_id: str,
    override: Table,
    built_in: _Draft | None,
    vendors: Mapping[str, _File],
    provider_dialects: Mapping[str, Collection[Dialect]],
) -> _Draft:
    if built_in is None:
        defaults = _defaults_for_new(model_id, override, vendors, provider_dialects)
        by_analogy = [key for key in ("context_tokens_max", "output_tokens_max", "cache_tokens_min") if key in defaults]
        table = _without_analogy(_merged({**defaults, "assumed": by_analogy}, override), override)
        return _Draft(table=table, sources=_keys(override, OPERATOR), where=OPERATOR)
    table = _without_analogy(_merged(built_in.table, override), override)
    return _Draft(table=table, sources={**built_in.sources, **_keys(override, OPERATOR)}, where=OPERATOR)


def _defaults_for_new(
    model_id: str,
    override: Table,
    vendors: Mapping[str, _File],
    provider_dialects: Mapping[str, Collection[Dialect]],
) -> Table:
    """A new model is like the built-in ones of its first target's vendor, else takes its provider's dialects."""
    targets = override.get("targets")
    if not isinstance(targets, list) or not targets:
        raise _bad(OPERATOR, model_id, "a new model needs targets, e.g. targets = ['openai:gpt-5.5']")
    first = targets[0].get("target") if isinstance(targets[0], Mapping) else targets[0]
    provider = str(first).partition(":")[0]
    if provider in vendors:
        return vendors[provider].defaults
    return {"kind": Kind.CHAT, "family": provider, "endpoints": sorted(provider_dialects.get(provider, ()))}


def _without_analogy(table: dict[str, Any], override: Table) -> dict[str, Any]:
    """TABLE where nothing that OVERRIDE gives is marked assumed: an operator's value is no longer by analogy."""
    if "assumed" not in override:
        table["assumed"] = [key for key in table.get("assumed", ()) if key not in override]
    for key in ("price", "media_price"):
        given = override.get(key)
        if isinstance(given, Mapping):
            table[key] = {**table[key], "assumed": given.get("assumed", False)}
    return table


def _merged(under: Table, over: Table) -> dict[str, Any]:
    """OVER laid on UNDER, tables key by key; anything else is replaced."""
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            merged[key] = _merged(below, value)
        else:
            merged[key] = value
    return merged


def _keys(table: Table, source: str) -> dict[str, str]:
    """SOURCE for every key of TABLE, those of its price one by one: 'price.input'."""
    price = table.get("price")
    inner = (f"price.{key}" for key in price if key != "assumed") if isinstance(price, Mapping) else ()
    return dict.fromkeys([*table, *inner], source)


def _check_names(models: Mapping[str, Model], drafts: Mapping[str, _Draft]) -> None:
    owners = {model_id: model_id for model_id in models}
    for model in models.values():
        for alias in model.aliases:
            if alias in owners:
                raise _bad(drafts[model.id].where, model.id, f"alias {alias!r} already means {owners[alias]}")
            owners[alias] = model.id


def _families(tables: Collection[_FamilyTable], models: Mapping[str, Model]) -> list[Family]:
    if len(tables) > FAMILIES_MAX:
        raise BadSettings(f"names.toml: more than {FAMILIES_MAX} families")
    for table in tables:
        if table.model not in models:
            raise BadSettings(f"names.toml: {table.pattern}: there is no model {table.model!r}")
    return [Family(pattern=re.compile(table.pattern, re.ASCII), model=models[table.model]) for table in tables]


def _bad(where: str, model_id: str, what: object) -> BadSettings:
    return BadSettings(f'{where}: models."{model_id}": {what}')
