"""The routes of the control process: who may ask for what. Capabilities declare theirs in `routes.py`.

`serve/api.py` serves them. None can be declared without the permission that it takes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from hypereal.kit.ids import AccountId, KeyId
from hypereal.kit.money import Micro

if TYPE_CHECKING:  # data processes load this module, and must not load a web framework
    from starlette.requests import Request
    from starlette.responses import Response


class Permission(StrEnum):
    """What a caller may do with what belongs to its account."""

    SEE_OWN_KEY = "own_key.read"
    """The terms of the very key that asks, and the balance behind it."""
    READ_KEYS = "keys.read"
    WRITE_KEYS = "keys.write"
    READ_USAGE = "usage.read"
    READ_STORAGE = "storage.read"
    WRITE_STORAGE = "storage.write"
    READ_WEBHOOKS = "webhooks.read"
    WRITE_WEBHOOKS = "webhooks.write"
    """Also to see the secrets that sign them."""
    MAKE_MEDIA = "media.make"
    READ_JOBS = "jobs.read"
    WRITE_JOBS = "jobs.write"


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Whoever asks. Its owner is the first argument of every store function; no body and no query ever names one."""

    owner_id: AccountId
    key_id: KeyId | None
    """None for a session."""
    permissions: frozenset[Permission]
    models: frozenset[str] | None = None
    """The only model ids that the key may call; None for all."""
    spending_limit: Micro | None = None
    """Of the key, per calendar month."""


Endpoint = Callable[["Request", Caller], Awaitable[object]]
"""Gives what is to be told as JSON, None for an answer without a body, or a Response of its own (a stream).

Raises HyperealError. What a database that is away raises (`kit.db.UNREACHABLE`) is told as 503.
"""


class ApiRoute(msgspec.Struct, frozen=True, kw_only=True):
    """One route of the control process."""

    method: str
    path: str
    """`/api/…`, or `/v1/…`, which answers under every prefix of contract 1.1. `{name}` is one segment, not empty."""
    permission: Permission
    summary: str
    """One sentence, for `/openapi.json`."""
    endpoint: Endpoint
    status: int = 200
    """Of the answer, where the endpoint does not give a Response."""
    body: type[msgspec.Struct] | None = None
    """What `kit.asked.body_of` reads."""
    query: type[msgspec.Struct] | None = None
    """What `kit.asked.query_of` reads."""


class LinkRoute(msgspec.Struct, frozen=True, kw_only=True):
    """A route that takes no key: its links are signed, and ENDPOINT refuses every other with PermissionDenied."""

    methods: tuple[str, ...]
    """The first is told in `/openapi.json`."""
    path: str
    summary: str
    endpoint: Callable[[Request], Awaitable[Response]]
