"""The API of the control process: every `ApiRoute` of the capabilities, behind one door.

The door checks the key and what it permits, counts the request against its owner's minute, and says so in every answer.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hypereal.accounts import NO_KEY, KeyCache, Principal, choose_credential, permit_address
from hypereal.kit.access import ApiRoute, Caller, LinkRoute, Permission
from hypereal.kit.db import UNREACHABLE
from hypereal.kit.errors import AuthenticationFailed, NotFound, Overloaded, PermissionDenied
from hypereal.kit.ids import hash_key
from hypereal.limits import RateLimiter
from hypereal.net import query_values

PREFIXES = ("/v1", "/api/v1", "/v1/v1", "/api/v1/v1")
"""Contract 1.1: SDKs that are given the other base URL ask under the doubled ones."""
INFERENCE = frozenset(
    {
        Permission.SEE_OWN_KEY,
        Permission.READ_STORAGE,
        Permission.WRITE_STORAGE,
        Permission.MAKE_MEDIA,
        Permission.READ_JOBS,
        Permission.WRITE_JOBS,
    }
)
ACCOUNT = frozenset(Permission)
LIMITED = ACCOUNT - {Permission.WRITE_KEYS}
"""Of an `account` key with limits of its own: it must not make keys that have none."""

Answer = Callable[[Request], Awaitable[Response]]


class Door:
    """Lets callers in. `keys` and `limiter` are those of this process; PER_MINUTE is the limit of settings."""

    def __init__(self, keys: KeyCache, limiter: RateLimiter, per_minute: int) -> None:
        self._keys = keys
        self._limiter = limiter
        self.per_minute = per_minute

    def routes(self, declared: Iterable[ApiRoute]) -> list[Route]:
        """What Starlette serves: one route a path, so that a wrong method is told the right ones."""
        by_path: dict[str, dict[str, Answer]] = {}
        for route in declared:
            for path in paths_of(route):
                by_path.setdefault(path, {})[route.method] = self._guarded(route)
        return [Route(path, _by_method(answers), methods=list(answers)) for path, answers in by_path.items()]

    def link_routes(self, declared: Iterable[LinkRoute]) -> list[Route]:
        """What Starlette serves without a key: the link is the permission, and its endpoint checks it."""
        return [Route(route.path, _linked(route), methods=list(route.methods)) for route in declared]

    def _guarded(self, route: ApiRoute) -> Answer:
        async def answer(request: Request) -> Response:
            with _database_away():
                caller = await self._let_in(request, route.permission)
                _check_ids(request)
                told = await route.endpoint(request, caller)
            response = told if isinstance(told, Response) else _json(told, route.status)
            response.headers.update(told_of(request))
            return response

        return answer

    async def _let_in(self, request: Request, permission: Permission) -> Caller:
        principal = await self._authenticated(request)
        if principal.networks is not None:
            permit_address(principal, request.headers.get("x-forwarded-for", ""))
        per_minute = principal.requests_per_minute or self.per_minute
        quota = await self._limiter.fetch(principal.owner_id, per_minute)
        request.state.told = quota.headers
        caller = Caller(
            owner_id=principal.owner_id,
            key_id=principal.key_id,
            permissions=permissions_of(principal),
            models=principal.models,
            spending_limit=principal.spending_limit,
        )
        if permission not in caller.permissions:
            raise PermissionDenied(_why_not(principal, permission))
        return caller

    async def _authenticated(self, request: Request) -> Principal:
        fields = (request.headers.get(name, "").encode("latin-1") for name in ("x-api-key", "x-goog-api-key"))
        query: bytes = request.scope["query_string"]
        authorization = request.headers.get("authorization", "").encode("latin-1")
        credential = choose_credential(authorization, (*fields, *query_values(query, b"key")))
        if not credential:
            raise AuthenticationFailed(NO_KEY)
        return self._keys.get(hash_key(credential)) or await self._keys.fetch(credential)


def told_of(request: Request) -> dict[str, str]:
    """Fields that every answer to REQUEST has: its owner's quota, once it was counted."""
    told: dict[str, str] = getattr(request.state, "told", {})
    return told


def paths_of(route: ApiRoute) -> list[str]:
    """Where ROUTE answers."""
    if not route.path.startswith("/v1/"):
        return [route.path]
    return [prefix + route.path.removeprefix("/v1") for prefix in PREFIXES]


def permissions_of(principal: Principal) -> frozenset[Permission]:
    """What a key may ask of the control process."""
    if "account" not in principal.scopes:
        return INFERENCE
    return LIMITED if _is_limited(principal) else ACCOUNT


def _linked(route: LinkRoute) -> Answer:
    async def answer(request: Request) -> Response:
        with _database_away():
            _check_ids(request)
            return await route.endpoint(request)

    return answer


@contextmanager
def _database_away() -> Iterator[None]:
    try:
        yield
    except UNREACHABLE:
        raise Overloaded("The database does not answer at the moment. Please try again.") from None


def _check_ids(request: Request) -> None:
    if any("\0" in value for value in request.path_params.values()):
        raise NotFound("There is nothing of this name.")


def _is_limited(principal: Principal) -> bool:
    limits = (principal.spending_limit, principal.models, principal.networks, principal.expires_at)
    return any(limit is not None for limit in limits)


def _why_not(principal: Principal, permission: Permission) -> str:
    if "account" not in principal.scopes:
        return "This key may not do that: its scope is not 'account'."
    return f"This key may not do that ({permission}): it has limits of its own, and must not make keys without them."


def _json(told: object, status: int) -> Response:
    if told is None:
        return Response(status_code=204)
    return Response(msgspec.json.encode(told), status, media_type="application/json")


def _by_method(answers: dict[str, Answer]) -> Answer:
    async def answer(request: Request) -> Response:
        return await answers["GET" if request.method == "HEAD" else request.method](request)

    return answer
