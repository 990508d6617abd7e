"""`hypereal models`."""

import typer
from rich.text import Text

from hypereal import catalog
from hypereal.cli import offer, output
from hypereal.cli.options import AsJson, Config, DataDir, new_app, read_settings
from hypereal.gateway import Pools, Routing
from hypereal.kit import money
from hypereal.kit.errors import InvalidRequest
from hypereal.kit.settings import BadSettings
from hypereal.net import client_context

KINDS = list(catalog.Kind)
SHORT = {"openai_chat": "chat", "openai_responses": "responses", "anthropic_messages": "messages", "gemini": "gemini"}

app = new_app()


@app.callback()
def models() -> None:
    """List and check the models, their prices and targets."""


@app.command("list", epilog="Example: hypereal models list --json")
def list_(data_dir: DataDir = None, config: Config = None, as_json: AsJson = False) -> None:
    """List every model: what it costs, how much it reads, where it may be called and who answers.

    Prices are credits per million tokens, or per piece. ~ marks a value set by analogy. * marks a target with a
    credential; where a model has none, the local model answers. --json tells where each value was written.
    """
    offered = offer.load(read_settings(config, data_dir))
    found = sorted(offered.catalog.models.values(), key=lambda model: (KINDS.index(model.kind), model.id))
    if as_json:
        output.write_json({"models": [_shown(model, offered) for model in found]})
        return
    table = output.table("model", "kind", "price", "context", "endpoints", "targets", numbers=("context",))
    for model in found:
        endpoints = " ".join(name for dialect, name in SHORT.items() if dialect in model.endpoints)
        table.add_row(
            Text(model.id, "bold"), model.kind, _price(model), _context(model), endpoints, _targets(model, offered)
        )
    output.write(table)


@app.command(epilog="Example: hypereal models check && kill -HUP $SERVER_PID")
def check(data_dir: DataDir = None, config: Config = None, as_json: AsJson = False) -> None:
    """Check the models and providers of the settings, before a server reads them.

    Errors: keys and values that are refused, missing prices, aliases that mean two models, targets of unknown
    providers, models that no target can answer. Exit code 1 where there is any. A missing credential is a note only.
    """
    errors: list[str] = []
    notes: list[str] = []
    try:
        offered = offer.load(read_settings(config, data_dir))
    except BadSettings as error:
        errors = str(error).splitlines()
    else:
        errors, notes = problems(offered)
    if as_json:
        output.write_json({"ok": not errors, "errors": errors, "notes": notes})
    else:
        output.write(*(f"error: {error}" for error in errors), *(f"note: {note}" for note in notes))
        output.write(f"{len(errors)} errors, {len(notes)} notes.")
    raise typer.Exit(1 if errors else 0)


def problems(offered: offer.Offer) -> tuple[list[str], list[str]]:
    """(errors, notes)."""
    errors: list[str] = []
    without: dict[str, list[str]] = {}
    routing = Routing(offered.providers, Pools(client_context()))
    for model in offered.catalog.models.values():
        names = ", ".join((model.id, *model.aliases))
        if model.price is None and model.media_price is None:
            errors.append(f'models."{model.id}": has no price, so nobody can call it ({names})')
        if model.endpoints and not _is_reachable(model, routing):
            errors.append(f'models."{model.id}": none of its targets speaks a format that it may be called in')
        for spec in model.targets:
            if not offered.providers[spec.provider].is_usable:
                without.setdefault(spec.provider, []).append(model.id)
    notes = [f"{provider} has no credential: {len(ids)} models skip it" for provider, ids in sorted(without.items())]
    return errors, notes


def _is_reachable(model: catalog.Model, routing: Routing) -> bool:
    for dialect in model.endpoints:
        try:
            return bool(routing.ways(model, dialect))
        except InvalidRequest:
            continue
    return False


def _price(model: catalog.Model) -> str:
    if model.price is not None:
        mark = "~" if "price" in model.assumed else ""
        return f"{mark}{money.credits(model.price.input)} in, {money.credits(model.price.output)} out"
    if model.media_price is not None:
        mark = "~" if "media_price" in model.assumed else ""
        tiers = [
            f"{money.credits(amount)}{f' {tier}' if tier != 'any' else ''}"
            for tier, amount in model.media_price.tiers.items()
        ]
        return f"{mark}{' / '.join(tiers)} per {model.media_price.per}"
    return "none"


def _context(model: catalog.Model) -> str:
    if not model.endpoints:
        return ""
    return f"{'~' if 'context_tokens_max' in model.assumed else ''}{model.context_tokens_max:,}"


def _targets(model: catalog.Model, offered: offer.Offer) -> str:
    usable = set(offered.usable_targets(model))
    names = [f"{name}*" if name in usable else name for name in map(offer.name_of, model.targets)]
    return " ".join(names if usable or not model.endpoints else [*names, "(local)"])


def _shown(model: catalog.Model, offered: offer.Offer) -> dict[str, object]:
    usable = set(offered.usable_targets(model))
    return {
        "id": model.id,
        "kind": model.kind,
        "family": model.family,
        "endpoints": sorted(model.endpoints),
        "context_tokens_max": model.context_tokens_max,
        "output_tokens_max": model.output_tokens_max,
        "cache_tokens_min": model.cache_tokens_min,
        "price": None if model.price is None else _token_price(model.price),
        "media_price": None if model.media_price is None else _media_price(model.media_price),
        "targets": [
            {"target": offer.name_of(spec), "weight": spec.weight, "usable": offer.name_of(spec) in usable}
            for spec in model.targets
        ],
        "local": bool(model.endpoints) and not usable,
        "intents": model.intents,
        "lacks": sorted(model.lacks),
        "aliases": model.aliases,
        "assumed": sorted(model.assumed),
        "sources": model.sources,
    }


def _token_price(price: catalog.Price) -> dict[str, object]:
    """Credits per million tokens; `web_search` per search."""
    rates = {name: money.credits_json(getattr(price, name)) for name in catalog.Rates.__struct_fields__}
    longer = [
        {name: money.credits_json(getattr(tier, name)) for name in catalog.Rates.__struct_fields__}
        | {"above_tokens": tier.above_tokens}
        for tier in price.long_context
    ]
    return {**rates, "web_search": money.credits_json(price.web_search), "long_context": longer}


def _media_price(price: catalog.MediaPrice) -> dict[str, object]:
    """Credits per piece."""
    return {"per": price.per, "credits": {tier: money.credits_json(amount) for tier, amount in price.tiers.items()}}
