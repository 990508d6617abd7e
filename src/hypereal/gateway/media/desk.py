"""The desk of the media routes: reads what is wanted, counts it, begins the job, and logs what is refused."""

from collections.abc import Callable
from time import time

import msgspec
from starlette.requests import Request

from hypereal import ledger
from hypereal.catalog import Kind
from hypereal.gateway.media.asking import Wish, body_in, read_wish
from hypereal.gateway.media.conductor import NO_KEY, Conductor
from hypereal.gateway.media.ending import MEDIA
from hypereal.gateway.media.job import MediaJob, Origin, Problem
from hypereal.gateway.media.ordering import asked_of, check_materials, find
from hypereal.gateway.media.showing import urls_of
from hypereal.kit.access import Caller
from hypereal.kit.clock import utc_now
from hypereal.kit.errors import (
    HyperealError,
    InternalError,
    InvalidRequest,
    Overloaded,
    UpstreamFailed,
    UpstreamTimeout,
)
from hypereal.kit.ids import AccountId
from hypereal.kit.money import credits
from hypereal.ledger import Asked, Asker, Details, UsageRow
from hypereal.limits import RateLimiter

CLIENT_CHARS_MAX = 200
APP_CHARS_MAX = 64
_ERRORS: dict[int, type[HyperealError]] = {400: InvalidRequest, 500: InternalError, 504: UpstreamTimeout}


class Desk:
    """What the routes share. Of all submissions of an owner, PER_MINUTE are taken."""

    def __init__(
        self,
        conductor: Conductor,
        limiter: RateLimiter,
        *,
        per_minute: int,
        body_bytes_max: int,
        public_url: str | None,
    ) -> None:
        self.conductor = conductor
        self.body_bytes_max = body_bytes_max
        self.per_minute = per_minute
        self._limiter = limiter
        self._public_url = public_url

    async def begin(
        self,
        request: Request,
        caller: Caller,
        kind: Kind,
        endpoint: str,
        read: Callable[[bytes], Wish] = read_wish,
    ) -> tuple[MediaJob, Wish]:
        """The job that REQUEST, with a JSON body that READ reads, comes to.

        Raises what the caller is told, and logs that.
        """
        began_s = time()
        try:
            wish = read(await self.body(request))
        except HyperealError as error:
            await self._log(caller, None, _origin(request, endpoint, None), error, began_s)
            raise
        return await self.begin_with(request, caller, kind, endpoint, wish)

    async def body(self, request: Request) -> bytes:
        """The whole body. Raises RequestTooLarge."""
        return await body_in(request, self.body_bytes_max)

    async def begin_with(
        self, request: Request, caller: Caller, kind: Kind, endpoint: str, wish: Wish
    ) -> tuple[MediaJob, Wish]:
        """The same, of a WISH that was read."""
        origin = _origin(request, endpoint, wish)
        began_s = time()
        try:
            return await self._begun(request, caller, kind, (wish, origin)), wish
        except HyperealError as error:
            await self._log(caller, wish, origin, error, began_s)
            raise

    async def _begun(self, request: Request, caller: Caller, kind: Kind, what: tuple[Wish, Origin]) -> MediaJob:
        wish, origin = what
        studio = self.conductor.studio
        await self._limiter.fetch(AccountId(f"{caller.owner_id}/submissions"), self.per_minute)
        found = find(studio.ways, kind, caller, wish)
        if wish.audio is not None:
            audio, audio_s = await studio.materials.listen(wish.audio)
            wish = msgspec.structs.replace(wish, audio=audio, audio_s=audio_s)
            found = find(studio.ways, kind, caller, wish)
        await check_materials(studio.materials, wish)
        if wish.webhook_url is not None:
            await studio.webhooks.check_url(*wish.webhook_url)
        key = request.headers.get("idempotency-key")
        return await self.conductor.begin(caller, asked_of(found, wish, origin, key))

    async def _log(
        self, caller: Caller, wish: Wish | None, origin: Origin, error: HyperealError, began_s: float
    ) -> None:
        """A row for what was refused, as every other call has one."""
        now = utc_now()
        asker = Asker(
            owner_id=caller.owner_id,
            key_id=caller.key_id or NO_KEY,
            endpoint=origin.endpoint,
            client=origin.client,
            app=origin.app,
        )
        asked = Asked(dialect=MEDIA, model="" if wish is None else wish.model or "")
        details = Details(
            request_id=origin.request_id,
            started_at=now,
            status=error.status,
            error_type=error.type,
            is_stream=False,
            attempts=0,
            duration_ms=max(0, int((time() - began_s) * 1000)),
            end_user=origin.end_user,
            metadata=origin.metadata,
        )
        row = UsageRow.of(asker, asked, details)
        async with self.conductor.studio.database.connection() as connection:
            await ledger.log_call(connection, row)

    # -- telling ---------------------------------------------------------------------------------------------------

    def base(self, request: Request) -> str:
        """What links begin with."""
        return self._public_url or f"http://{request.headers.get('host', 'localhost')}"

    def urls(self, request: Request, job: MediaJob) -> list[str]:
        """Where what JOB made is."""
        return urls_of(job, self.conductor.studio.storage.links, self.base(request))

    async def bodies(self, job: MediaJob) -> list[bytes]:
        """What JOB made, whole."""
        storage = self.conductor.studio.storage
        found = [await storage.find(job.owner_id, one.object_id) for one in job.outputs if one.object_id is not None]
        return [b"".join([piece async for piece in storage.read(one)]) for one in found]


def labels(job: MediaJob) -> dict[str, str]:
    """Fields of every answer about a job (contract 1.3)."""
    return {
        "x-hypereal-cost-credits": credits(job.held if job.cost is None else job.cost),
        "x-hypereal-request-id": job.request.request_id,
        "x-hypereal-model": job.model,
        "x-hypereal-provider": job.target_name.partition(":")[0],
    }


def error_of(problem: Problem, job: MediaJob) -> HyperealError:
    """What a caller who waits for a job that failed is told."""
    headers = labels(job)
    if problem.status == 503:
        refusal: HyperealError = Overloaded(problem.message)
        refusal.headers.update(headers)
        return refusal
    return _ERRORS.get(problem.status, UpstreamFailed)(problem.message, headers=headers, details={"jobId": job.id})


def _origin(request: Request, endpoint: str, wish: Wish | None) -> Origin:
    return Origin(
        request_id=request.headers.get("x-request-id", ""),
        endpoint=endpoint,
        client=request.headers.get("user-agent", "")[:CLIENT_CHARS_MAX],
        app=request.headers.get("x-hypereal-app", "")[:APP_CHARS_MAX] or None,
        end_user=None if wish is None else wish.user,
        metadata=None if wish is None else wish.metadata,
    )
