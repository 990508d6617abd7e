"""Writes docs/reference/ from the settings, the command line, the catalog and the providers: `make docs`.

`--check` writes nothing and fails where a page is not what would be written.
"""

import ast
import inspect
import sys
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from hypereal import catalog, providers
from hypereal.cli.app import COMMANDS, load
from hypereal.kit import money, settings
from hypereal.providers import drivers

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"
NOTE = "<!-- Written by `make docs`. Change the source, not this page. -->"
SHORT_FORMS = {key: name for name, key in settings.SHORT_FORMS.items()}
TYPE_NAMES = {
    "str": "text",
    "bool": "true or false",
    "int": "integer",
    "float": "number",
    "Decimal": "number",
    "Path": "path",
}
SHORT_DIALECTS = {
    "openai_chat": "chat",
    "openai_responses": "responses",
    "anthropic_messages": "messages",
    "gemini": "gemini",
}

SETTINGS_INTRO = """\
`hypereal.toml` in the working folder, or the file that `--config` or `HYPEREAL_CONFIG` names. Environment variables
win over the file, options of the command line over both. An unknown key in the file is an error; an unknown
`HYPEREAL_` variable only warns. After SIGHUP, `[providers]`, `[models]`, `limits.requests_per_minute` and
`server.body_bytes_max` are read again; the rest needs a restart."""
COMMANDS_INTRO = """\
`chat`, `images`, `videos`, `speak`, `transcribe` and `jobs` ask a server over HTTP. Every other command works while the
server runs and while it does not. Errors go to stderr; the exit code is 1 for a failure
and 2 for a wrong command line."""
MODELS_INTRO = """\
The built-in catalog. Prices are in dollars per million tokens; 100 credits are $1. `~` marks a value set by analogy,
since no text gives it: check it, and set your own. Images, video and speech are [made by jobs](../how-to/media.md);
GPU models are listed with their prices, and cannot be called in this version.

*Caches from*: the fewest tokens of a prefix that a marker in the request can keep in the vendor's cache. Where nothing
stands, the vendor has no such markers.

*Called through* names the formats that the catalog allows. A call also needs a target that has a credential and speaks
the format, or chat: every other format reaches it over a [bridge](bridges.md). Else the answer is 400, and names the
endpoint to use."""
KEYS = {
    "google": "`GEMINI_API_KEY`",
    "bedrock": "`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_REGION`",
    "vertex": "`GOOGLE_APPLICATION_CREDENTIALS`",
    "fal": "`FAL_KEY`",
    "kling": "`KLING_ACCESS_KEY` and `KLING_SECRET_KEY`, or `KLING_API_KEY`",
    "replicate": "`REPLICATE_API_TOKEN`",
}
"""Of those whose variable is not NAME_API_KEY."""
PROVIDERS_INTRO = """\
Built in. A provider is used once its variable is set, or once `[providers.NAME]` gives a key. Those that need no key
are used once `NAME_BASE_URL` or a table names them. `NAME_BASE_URL` moves any of them. `local` answers for a model
while none of its targets has a credential. [Add a provider](../how-to/add-a-provider.md) says more of the clouds."""

MEDIA_INTRO = """\
Vendors of images, video and sound, each with a driver of its own
([add one](../how-to/add-a-media-driver.md)). *Files*: how the vendor takes them; what comes in another way is fetched,
or put where it can be fetched. *Stopped*: whether a task can be, where the vendor is asked to. *Kept*: how long the
vendor keeps what it made; it is copied at once. A state that is in no column is taken for running."""
CALLBACKS_INTRO = """\
What vendors call us with is a hint to ask them, and never believed. Where they sign, a call whose signature is not good
is refused."""


def main() -> int:
    """The exit code."""
    stale = [path for path, text in pages().items() if not path.exists() or path.read_text("utf-8") != text]
    if "--check" in sys.argv[1:]:
        for path in stale:
            sys.stderr.write(f"{path.name} is out of date: run `make docs`\n")
        return 1 if stale else 0
    REFERENCE.mkdir(parents=True, exist_ok=True)
    for path in stale:
        path.write_text(pages()[path], "utf-8")
        sys.stdout.write(f"wrote {path.name}\n")
    return 0


def pages() -> dict[Path, str]:
    """Every page's file and text."""
    known = providers.load({}, {}, Path("/run/local.sock"))
    dialects = {name: frozenset(provider.base_urls) for name, provider in known.items()}
    models = catalog.load({}, dialects).models.values()
    return {
        REFERENCE / "settings.md": _page(_settings()),
        REFERENCE / "cli.md": _page(_commands()),
        REFERENCE / "models.md": _page(_models(models)),
        REFERENCE / "providers.md": _page(_providers(known.values())),
    }


def _page(lines: Iterable[str]) -> str:
    title, *rest = lines
    return "\n".join([title, "", NOTE, *rest]) + "\n"


def _table(heads: list[str], rows: Iterable[list[str]]) -> Iterator[str]:
    yield ""
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"


# -- settings ----------------------------------------------------------------------------------------------------------


def _settings() -> Iterator[str]:
    yield "# Settings"
    yield ""
    yield SETTINGS_INTRO
    for section, field in settings.Settings.model_fields.items():
        if inspect.isclass(field.annotation) and issubclass(field.annotation, BaseModel):
            yield ""
            yield f"## [{section}]"
            yield from _table(["key", "type", "default", "variable", ""], _keys(section, field.annotation))
    yield ""
    yield '## [providers.NAME] and [models."ID"]'
    yield ""
    yield "See [add a provider](../how-to/add-a-provider.md) and [add or reprice a model](../how-to/add-a-model.md)."


def _keys(section: str, table: type[BaseModel]) -> Iterator[list[str]]:
    texts = _texts_of(table)
    for name, field in table.model_fields.items():
        key = field.alias or name
        variable = SHORT_FORMS.get((section, key), f"HYPEREAL_{section.upper()}__{key.upper()}")
        yield [f"`{key}`", f"`{_type_name(field.annotation)}`", _default(field.default), f"`{variable}`", texts[name]]


def _texts_of(table: type[BaseModel]) -> dict[str, str]:
    """The docstring below each field."""
    (found,) = ast.parse(inspect.getsource(table)).body
    assert isinstance(found, ast.ClassDef)
    texts = {}
    for field, below in zip(found.body, found.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            texts[ast.unparse(field.target)] = str(below.value.value)
    return texts


def _type_name(annotation: Any) -> str:
    if isinstance(annotation, type) and not hasattr(annotation, "__args__"):
        return TYPE_NAMES[annotation.__name__]
    text = str(annotation)
    if text.startswith("typing.Literal"):
        return " or ".join(annotation.__args__)
    return {"str | None": "text", "int | None": "integer", "tuple[str, ...]": "list of text"}[text]


def _default(value: object) -> str:
    return "" if value in (None, (), Path()) else f"`{value}`"


# -- commands ----------------------------------------------------------------------------------------------------------


def _commands() -> Iterator[str]:
    yield "# Commands"
    yield ""
    yield COMMANDS_INTRO
    for name in COMMANDS:
        command = load(name)
        for words, one in _leaves(f"hypereal {name}", command):
            yield from _command(words, one)


def _leaves(words: str, command: Any) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield words, command
    else:
        for name, one in inner.items():
            yield f"{words} {name}", one


def _command(words: str, command: Any) -> Iterator[str]:
    arguments = [one.metavar for one in command.params if type(one).__name__ == "TyperArgument"]
    yield ""
    yield f"## {' '.join([words, *arguments])}"
    yield ""
    yield command.help
    yield from _table(["option", "", ""], _options(command.params))
    if command.epilog:
        yield ""
        yield f"Example: `{command.epilog.removeprefix('Example: ')}`"


def _options(parameters: list[Any]) -> Iterator[list[str]]:
    for one in parameters:
        name = one.metavar if type(one).__name__ == "TyperArgument" else one.opts[0]
        value = "" if getattr(one, "is_flag", False) or name == one.metavar else f" {one.metavar or 'VALUE'}"
        yield [f"`{name}{value}`", "required" if one.required else "", one.help or ""]


# -- models and providers ----------------------------------------------------------------------------------------------


def _models(models: Iterable[catalog.Model]) -> Iterator[str]:
    yield "# Models"
    yield ""
    yield MODELS_INTRO
    found = sorted(models, key=lambda model: model.id.lower())
    chat = [model for model in found if model.kind is catalog.Kind.CHAT]
    yield ""
    yield "## Chat"
    heads = ["id", "input", "output", "cache read", "caches from", "context", "output at most", "called through"]
    yield from _table([*heads, "first target"], map(_chat_row, chat))
    yield ""
    yield "## Other kinds"
    other = [model for model in found if model.kind is not catalog.Kind.CHAT]
    yield from _table(["id", "kind", "price in credits"], map(_media_row, other))


def _chat_row(model: catalog.Model) -> list[str]:
    price = model.price
    prices = ["none"] * 3
    if price is not None:
        prices = [
            f"{'~' if {'price', f'price.{name}'} & model.assumed else ''}{_dollars(getattr(price, name))}"
            for name in ("input", "output", "cache_read")
        ]
    limits = [_limit(model, name) for name in ("cache_tokens_min", "context_tokens_max", "output_tokens_max")]
    through = ", ".join(short for name, short in SHORT_DIALECTS.items() if name in model.endpoints)
    first = model.targets[0]
    return [f"`{model.id}`", *prices, *limits, through, f"`{first.provider}:{first.model}`"]


def _limit(model: catalog.Model, name: str) -> str:
    tokens = getattr(model, name)
    return "" if tokens is None else f"{'~' if name in model.assumed else ''}{tokens:,}"


def _dollars(micro: int) -> str:
    return f"${(Decimal(micro) / money.MICRO_PER_DOLLAR).normalize():f}"


def _media_row(model: catalog.Model) -> list[str]:
    price = model.media_price
    if price is None:
        return [f"`{model.id}`", model.kind, "none" if model.price is None else "by tokens"]
    mark = "~" if "media_price" in model.assumed else ""
    tiers = " / ".join(
        f"{money.credits(amount)}{'' if tier == 'any' else f' ({tier})'}" for tier, amount in price.tiers.items()
    )
    return [f"`{model.id}`", model.kind, f"{mark}{tiers} per {price.per}"]


def _providers(known: Iterable[providers.Provider]) -> Iterator[str]:
    yield "# Providers"
    yield ""
    yield PROVIDERS_INTRO
    yield from _table(["name", "key from", "speaks", "address"], map(_provider_row, known))
    yield ""
    yield "## Images, video and sound"
    yield ""
    yield MEDIA_INTRO
    rows = [_route_row(driver, route) for driver in drivers.DRIVERS.values() for route in driver.routes]
    heads = ["vendor", "makes", "files", "queued", "running", "done", "failed", "stopped", "kept"]
    yield from _table(heads, rows)
    yield ""
    yield "## Callbacks"
    yield ""
    yield CALLBACKS_INTRO
    calling = [driver for driver in drivers.DRIVERS.values() if driver.callback is not None]
    yield from _table(["vendor", "signature", "its secret"], map(_callback_row, calling))


def _provider_row(provider: providers.Provider) -> list[str]:
    speaks = ", ".join(short for name, short in SHORT_DIALECTS.items() if name in provider.base_urls)
    if provider.name == providers.LOCAL:
        return [f"`{provider.name}`", "", speaks, "the small model on this machine"]
    key = KEYS.get(provider.name, f"`{provider.name.upper()}_API_KEY`") if provider.needs_key else "no key needed"
    address = next(iter(provider.base_urls.values()), provider.media_url)
    return [f"`{provider.name}`", key, speaks or "media only", f"`{address}`"]


# -- media -------------------------------------------------------------------------------------------------------------

ENDS = ("failed", "moderated", "cancelled", "lost")
KEPT = ((86_400, "d"), (3600, "h"), (60, "min"))


def _route_row(driver: drivers.Driver, route: drivers.Route) -> list[str]:
    makes = ", ".join(sorted(kind.replace("_", " ") for kind in route.kinds))
    names = [name for name in route.models if name]
    if names:
        makes += f" (`{'`, `'.join(names)}…`)"
    takes = {"any": "addresses or bytes", "url": "addresses", "body": "bytes"}[route.takes]
    summary = route.summary
    states = [_states(summary.states, wanted) for wanted in (("queued",), ("running",), ("done",), ENDS)]
    if route.is_direct:
        states = ["at once", "", "", ""]
    elif not summary.states:
        states = ["", "by a flag", "by a flag", "by a flag"]
    if route.kinds <= {drivers.Kind.IMAGE, drivers.Kind.SPEECH}:
        takes = ""
    return [f"`{driver.name}`", makes, takes, *states, "yes" if summary.can_cancel else "", _kept(summary.lifetime_s)]


def _states(states: Any, wanted: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name, state in states.items() if state in wanted)


def _kept(lifetime_s: int | None) -> str:
    if lifetime_s is None:
        return ""
    size, unit = next((size, unit) for size, unit in KEPT if lifetime_s >= size)
    return f"{lifetime_s // size} {unit}"


def _callback_row(driver: drivers.Driver) -> list[str]:
    assert driver.callback is not None
    secrets = {"none": "", "job": "made for each job", "api_key": "the key", "key_set": f"`{driver.callback.keys_url}`"}
    secret = secrets.get(driver.callback.secret, "`callback_secret` of the provider")
    return [f"`{driver.name}`", driver.callback.signature or "none", secret]


if __name__ == "__main__":
    sys.exit(main())
