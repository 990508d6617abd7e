"""`hypereal models`."""

import asyncio
import os
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated

import typer
from rich.text import Text

from hypereal import catalog
from hypereal.cli import database, offer, output
from hypereal.cli.options import AsJson, Config, DataDir, dollars, moment, new_app, read_settings
from hypereal.gateway import Pools, Routing
from hypereal.kit import money
from hypereal.kit.errors import InvalidRequest, NotFound
from hypereal.kit.settings import BadSettings, Settings
from hypereal.net import client_context
from hypereal.providers import LOCAL, Provider, drivers
from hypereal.providers.drivers import DRIVERS

KINDS = list(catalog.Kind)
MADE = {
    catalog.Kind.IMAGE: (drivers.Kind.IMAGE, drivers.Kind.IMAGE_EDIT),
    catalog.Kind.VIDEO: (drivers.Kind.VIDEO,),
    catalog.Kind.AUDIO: (drivers.Kind.SPEECH, drivers.Kind.CLONE, drivers.Kind.TRANSCRIPT),
}
SHORT = {"openai_chat": "chat", "openai_responses": "responses", "anthropic_messages": "messages", "gemini": "gemini"}

PER_MILLION = "Dollars per million tokens."
CacheDollars = Annotated[Decimal | None, typer.Option(parser=dollars, metavar="N", help=PER_MILLION)]

app = new_app()


@app.callback()
def models() -> None:
    """List and check the models, their prices and targets."""


@app.command("list", epilog="Example: hypereal models list --json")
def list_(data_dir: DataDir = None, config: Config = None, as_json: AsJson = False) -> None:
    """List every model: what it costs, how much it reads, where it may be called and who answers.

    Prices are credits per million tokens, or per piece. ~ marks a value set by analogy, ! a price that was set by a
    command and wins over the files. * marks a target with a credential; where a model has none, the local model
    answers. --json tells where each value was written.
    """
    offered = asyncio.run(offer.load_priced(read_settings(config, data_dir), "models list"))
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
        offered = asyncio.run(offer.load_priced(read_settings(config, data_dir), "models check"))
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


@app.command(epilog="Example: hypereal models price gpt-5.4 --input 1.25 --output 7.50 --from 2027-01-01")
def price(
    model: Annotated[str, typer.Argument(help="Its id.", metavar="MODEL")],
    input_: Annotated[Decimal | None, typer.Option("--input", parser=dollars, metavar="N", help=PER_MILLION)] = None,
    output_: Annotated[Decimal | None, typer.Option("--output", parser=dollars, metavar="N", help=PER_MILLION)] = None,
    cache_read: CacheDollars = None,
    cache_write: CacheDollars = None,
    cache_write_1h: CacheDollars = None,
    since: Annotated[
        datetime | None,
        typer.Option("--from", parser=moment, metavar="DATE", help="UTC where it names no zone. Default: now."),
    ] = None,
    as_files: Annotated[bool, typer.Option("--files", help="From then on, what the files say holds again.")] = False,
    cancel: Annotated[int | None, typer.Option("--cancel", metavar="ID", help="Take back a price to come.")] = None,
    note: Annotated[str, typer.Option("--note", help="Why; kept with the price.")] = "",
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Set what a model costs, from now or a later moment on.

    It wins over the files, and a running server knows within a second. A call is charged what held when it began.
    Cache prices that are not given follow the vendor's ratio, unless the files give them.
    """
    settings = read_settings(config, data_dir)
    given = {"input": input_, "output": output_, "cache_read": cache_read}
    given |= {"cache_write": cache_write, "cache_write_1h": cache_write_1h}
    rates = {key: amount for key, amount in given.items() if amount is not None}
    if bool(rates) + as_files + (cancel is not None) != 1:
        raise typer.BadParameter("give a price, --files or --cancel ID")
    if rates and (input_ is None or output_ is None):
        raise typer.BadParameter("give both --input and --output")
    known = _model_of(settings, model)
    if cancel is not None:
        asyncio.run(_cancel(settings, known.id, cancel))
        output.write_json({"model": known.id, "cancelled": cancel}) if as_json else output.write(
            f"Taken back: {cancel}."
        )
        return
    made = asyncio.run(_set(settings, known, rates, (since, note)))
    if as_json:
        output.write_json(_version(made))
    else:
        output.write(f"{known.id} costs {_rates(made.price)} from {_shown_at(made.valid_from)} on.")


@app.command(epilog="Example: hypereal models prices gpt-5.4")
def prices(
    model: Annotated[str, typer.Argument(help="Its id.", metavar="MODEL")],
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show the prices of a model that were set, and that of the files. Credits per million tokens, the newest first."""
    settings = read_settings(config, data_dir)
    known = _model_of(settings, model)
    found = asyncio.run(_history(settings, known.id))
    if as_json:
        of_files = None if known.price is None else token_price(known.price)
        output.write_json({"model": known.id, "prices": [_version(one) for one in found], "files": of_files})
        return
    table = output.table("id", "from", "price", "set by", "note")
    for one in found:
        table.add_row(str(one.id), _shown_at(one.valid_from), _rates(one.price), one.created_by, one.note)
    table.add_row("files", "", _rates(known.price), "", "")
    output.write(table)


async def _set(
    settings: Settings, model: catalog.Model, rates: dict[str, Decimal], facts: tuple[datetime | None, str]
) -> catalog.PriceVersion:
    new = offer.priced(settings, model, rates) if rates else None
    async with database.opened(settings, "models price") as opened:
        since, note = facts
        by = f"models price, uid {os.getuid()}"
        return await catalog.set_price(opened, model.id, new, by=by, valid_from=since, note=note)


async def _cancel(settings: Settings, model: str, version_id: int) -> None:
    async with database.opened(settings, "models price") as opened:
        await catalog.cancel_price(opened, model, version_id)


async def _history(settings: Settings, model: str) -> list[catalog.PriceVersion]:
    async with database.opened(settings, "models prices") as opened:
        return await catalog.list_prices(opened, model)


def _model_of(settings: Settings, name: str) -> catalog.Model:
    found = offer.load(settings).catalog.find(name)
    if found is None:
        raise NotFound(f"There is no model {name}. `hypereal models list` names them.")
    return found


def _version(version: catalog.PriceVersion) -> dict[str, object]:
    return {
        "id": version.id,
        "version": None if version.price is None else version.price.version,
        "model": version.model,
        "from": version.valid_from,
        "price": None if version.price is None else token_price(version.price),
        "set_by": version.created_by,
        "set_at": version.created_at,
        "note": version.note,
    }


def _rates(found: catalog.Price | None) -> str:
    return (
        "what the files say" if found is None else f"{money.credits(found.input)} in, {money.credits(found.output)} out"
    )


def _shown_at(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


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
            if not _can_make(model, spec, offered.providers[spec.provider]):
                errors.append(f'models."{model.id}": {offer.name_of(spec)}: no driver makes {model.kind} of that there')
            if not offered.providers[spec.provider].is_usable:
                without.setdefault(spec.provider, []).append(model.id)
    notes = [f"{provider} has no credential: {len(ids)} models skip it" for provider, ids in sorted(without.items())]
    return errors, notes


def _can_make(model: catalog.Model, spec: catalog.TargetSpec, provider: Provider) -> bool:
    kinds = MADE.get(model.kind)
    if kinds is None or provider.name == LOCAL:
        return True
    driver = DRIVERS.get(provider.driver or "")
    works = (drivers.Work(kind=kind, model=spec.model) for kind in kinds)
    return driver is not None and any(driver.route(work) is not None for work in works)


def _is_reachable(model: catalog.Model, routing: Routing) -> bool:
    for dialect in model.endpoints:
        try:
            return bool(routing.ways(model, dialect))
        except InvalidRequest:
            continue
    return False


def _price(model: catalog.Model) -> str:
    if model.price is not None:
        is_set_here = model.sources.get("price") == catalog.SET_HERE
        mark = "!" if is_set_here else "~" if "price" in model.assumed else ""
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
        "price": None if model.price is None else token_price(model.price),
        "price_version": None if model.price is None else model.price.version,
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


def token_price(price: catalog.Price) -> dict[str, object]:
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
