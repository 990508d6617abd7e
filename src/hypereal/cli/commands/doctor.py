"""`hypereal doctor`."""

import asyncio
import ssl
from collections.abc import Coroutine
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.text import Text

from hypereal.cli import local_packages, offer, output
from hypereal.cli.faults import message_of
from hypereal.cli.options import AsJson, Config, DataDir, new_app, read_settings
from hypereal.kit import mail
from hypereal.kit.db import UNREACHABLE
from hypereal.kit.errors import NotFound
from hypereal.kit.settings import BadSettings, Settings
from hypereal.net import client_context
from hypereal.providers import Provider, UpstreamRequest, request_for, request_to
from hypereal.serve import folders, listen, migrate, supervisor, tracing
from hypereal.serve.faults import CannotServe
from hypereal.serve.postgres import reach_database
from hypereal.storage import OBJECTS, BucketAway, open_bucket, probe

CONNECT_S_MAX = 3.0
STORE_S_MAX = 20.0
"""For the bucket to take, give and delete a few bytes."""

app = new_app()


class State(StrEnum):
    """How a check went. Only an ERROR keeps the server from its work."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


STYLES = {State.OK: "green", State.WARNING: "yellow", State.ERROR: "bold red"}


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What one check found: what is, then what to do."""

    check: str
    state: State
    text: str


@app.command(epilog="Example: hypereal doctor --config hypereal.toml")
def doctor(
    install_local: Annotated[
        bool, typer.Option("--install-local", help="First install the packages of the local model.")
    ] = False,
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Check settings, database, storage and providers; say what to mend.

    Costs nothing: a provider is only connected to, and never sent a key. Exit code 1 where something keeps the server
    from its work.
    """
    if install_local:
        local_packages.install()
    findings = asyncio.run(_examine(data_dir, config))
    is_well = all(finding.state is not State.ERROR for finding in findings)
    if as_json:
        output.write_json({"ok": is_well, "checks": findings})
    else:
        table = output.table("check", "", "")
        for found in findings:
            table.add_row(found.check, Text(found.state, STYLES[found.state]), found.text)
        output.write(table)
    raise typer.Exit(0 if is_well else 1)


async def _examine(data_dir: DataDir, config: Config) -> list[Finding]:
    try:
        settings = read_settings(config, data_dir)
        offered = offer.load(settings)
    except BadSettings as error:
        return [Finding(check="settings", state=State.ERROR, text=str(error))]
    context = client_context()
    return [
        _ok("settings", f"{len(offered.catalog.models)} models, {len(offered.real)} providers with a credential"),
        await _tried("data folder", asyncio.to_thread(_data_folder, settings.server.data_dir)),
        await _tried("database", _database(settings)),
        await _storage(settings),
        await _tried("address", asyncio.to_thread(_address, settings)),
        await _tried("traces", asyncio.to_thread(_traces, settings)),
        _local_model(offered),
        await _mail(settings),
        *await asyncio.gather(*(_provider(provider, context) for provider in offered.real)),
    ]


async def _tried(check: str, work: Coroutine[Any, Any, Finding]) -> Finding:
    try:
        return await work
    except (CannotServe, *UNREACHABLE) as error:
        return Finding(check=check, state=State.ERROR, text=message_of(error))


def _data_folder(data_dir: Path) -> Finding:
    if not data_dir.exists():
        return _ok("data folder", f"{data_dir} is not there yet; `hypereal serve` makes it")
    folders.prepare(data_dir)
    folders.check_disk(data_dir, folders.Machine())
    return _ok("data folder", f"{data_dir} can be written")


async def _database(settings: Settings) -> Finding:
    folders.check_secret(settings)
    if not settings.database.url and not (settings.server.data_dir / "postgres").exists():
        return _ok("database", "not made yet; `hypereal serve` makes it")
    async with reach_database(settings, "doctor") as url:
        is_current = await migrate.is_current(url)
    if is_current:
        return _ok("database", f"answers, at revision {migrate.newest()}")
    text = "answers, but is not at this version's revision; `hypereal migrate` brings it there, as does the next start"
    return Finding(check="database", state=State.WARNING, text=text)


async def _storage(settings: Settings) -> Finding:
    """Write, read and delete a few bytes where files are to lie."""
    if settings.storage.url is None:
        if settings.database.url:
            text = "files lie on this host alone; where several hosts serve, set [storage] url to a bucket of S3"
            return Finding(check="storage", state=State.WARNING, text=text)
        return _ok("storage", f"files lie in {settings.server.data_dir / OBJECTS}")
    bucket = open_bucket(settings.storage, settings.server.data_dir / OBJECTS)
    try:
        async with asyncio.timeout(STORE_S_MAX):
            await probe(bucket)
    except (BucketAway, NotFound, TimeoutError) as error:
        match error:
            case BucketAway():
                why = error.why
            case TimeoutError():
                why = f"no answer in {STORE_S_MAX:.0f} s: check the endpoint of [storage] url, and the network"
            case _:
                why = "what was written is not there"
        text = f"the bucket of [storage] url cannot be used: {why}"
        return Finding(check="storage", state=State.ERROR, text=text)
    finally:
        await bucket.close()
    return _ok("storage", "the bucket takes, gives and deletes files")


def _address(settings: Settings) -> Finding:
    server = settings.server
    running = supervisor.read_status(settings) if (server.data_dir / "serve.lock").exists() else None
    if running is not None:
        return _ok("address", f"{listen.url_of(running.host, running.port)} is served by process {running.pid}")
    for listener in listen.bind(server.host, server.port, 1):
        listener.close()
    return _ok("address", f"{listen.url_of(server.host, server.port)} is free")


def _traces(settings: Settings) -> Finding:
    if tracing.is_wanted(settings):
        return _ok("traces", f"of calls go to {settings.traces.endpoint or 'where OTEL_EXPORTER_OTLP_ENDPOINT says'}")
    return _ok("traces", "are not wanted; [traces] endpoint names who takes them")


def _local_model(offered: offer.Offer) -> Finding:
    if offer.has_local_model():
        return _ok("local model", "is installed; it answers for models without a credential")
    what = "for some models" if offered.real else "at all"
    text = f"is not installed, so nobody answers {what}; `hypereal doctor --install-local` brings it, or set a key"
    return Finding(check="local model", state=State.WARNING, text=text)


async def _mail(settings: Settings) -> Finding:
    if settings.mail.smtp_url is None:
        text = "is not sent: set [mail] smtp_url, so that alerts of budgets reach people"
        return Finding(check="mail", state=State.WARNING, text=text)
    server = mail.server_of(settings.mail.smtp_url)
    address = f"{server.host}:{server.port}"
    try:
        async with asyncio.timeout(CONNECT_S_MAX):
            writer = (await asyncio.open_connection(server.host, server.port))[1]
        writer.close()
    except OSError as error:
        text = f"{address} cannot be reached ({error or 'no answer in 3 s'}); check the network, or [mail] smtp_url"
        return Finding(check="mail", state=State.WARNING, text=text)
    return _ok("mail", f"{address} can be reached; mail is from {settings.mail.sender}")


async def _provider(provider: Provider, context: ssl.SSLContext) -> Finding:
    """Connect to every address of PROVIDER, at most 3 s each, and send nothing."""
    requests = [request_for(provider, dialect, "any") for dialect in provider.base_urls]
    if provider.driver is not None:
        requests.append(request_to(provider.media_url))
    by_address = {request.unix_path or request.authority.decode(): request for request in requests}
    for address, request in by_address.items():
        try:
            async with asyncio.timeout(CONNECT_S_MAX):
                writer = await _connected(request, context)
            writer.close()
        except OSError as error:  # of which a timeout and a refused certificate are kinds
            text = f"{address} cannot be reached ({error or 'no answer in 3 s'}); check the network, or its base_url"
            return Finding(check=provider.name, state=State.WARNING, text=text)
    return _ok(provider.name, f"{', '.join(by_address)} can be reached")


async def _connected(request: UpstreamRequest, context: ssl.SSLContext) -> asyncio.StreamWriter:
    if request.unix_path is not None:
        return (await asyncio.open_unix_connection(request.unix_path))[1]
    tls = context if request.is_tls else None
    return (await asyncio.open_connection(request.host, request.port, ssl=tls))[1]


def _ok(check: str, text: str) -> Finding:
    return Finding(check=check, state=State.OK, text=text)
