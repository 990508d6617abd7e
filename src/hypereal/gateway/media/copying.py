"""What a vendor has made comes into our storage, before the vendor forgets it; then the job is done, and is paid."""

from collections.abc import AsyncIterator

import msgspec

from hypereal.gateway.media import store
from hypereal.gateway.media.deciding import COLLECTING, completed, failed, is_overdue, timed_out
from hypereal.gateway.media.ending import conclude
from hypereal.gateway.media.job import Made, MediaJob, Part, PartState, Problem
from hypereal.gateway.media.polling import way_of
from hypereal.gateway.media.studio import Studio, current
from hypereal.jobs import Done, Job, Outcome
from hypereal.kit.errors import Conflict, UnusableUrl
from hypereal.storage import BucketAway, Copy, StorageFull, store_output

AGAIN_S = 10.0
TYPES = {"image": ("image/",), "video": ("video/",), "audio": ("audio/", "video/mp4")}


class _Later(Exception):
    """It may come the next time."""


async def copy(studio: Studio, todo: Job) -> Outcome:
    """One step: all outputs that are not here yet."""
    loaded = await studio.load(todo)
    if loaded is None or loaded[0].is_final:
        return Done()
    job, parts = loaded
    made: list[Made] = []
    for part in current(job, parts):
        if part.state is PartState.MADE:
            try:
                kept = await _kept(studio, job, part)
            except _Later as error:
                if is_overdue(job):
                    return await timed_out(studio, todo, job)
                return await studio.again(todo, job, store.Move(waiting=f"{COLLECTING}: {error}"), AGAIN_S)
            await studio.keep(todo, job, msgspec.structs.replace(part, outputs=kept))
            made += kept
    end = completed(job, made[: job.n])
    if end.outputs:
        return await conclude(studio, todo, job, end)
    message = "The provider made it, but gives it no more. Nothing was charged."
    return await failed(studio, todo, job, Problem(type="api_error", message=message, status=502))


async def _kept(studio: Studio, job: MediaJob, part: Part) -> tuple[Made, ...]:
    """The outputs of PART, each with its object or gone. Raises _Later."""
    kept = []
    for place, made in enumerate(part.outputs):
        if made.object_id is None and not made.is_gone:
            made = await _copied(studio, job, part, (place, made))
        kept.append(made)
    return tuple(kept)


async def _copied(studio: Studio, job: MediaJob, part: Part, what: tuple[int, Made]) -> Made:
    place, made = what
    wanted = Copy(
        name=f"{job.id}/{part.number}/{place}",
        filename=made.filename,
        content_type=made.content_type,
        types=TYPES[job.kind],
    )
    try:
        source = await _opened(studio, job, part, made) if made.needs_credential else made.url
        stored = await store_output(studio.storage, studio.outbound, job.owner_id, source, wanted)
    except UnusableUrl as error:
        if error.is_temporary:
            raise _Later("the provider does not give it at the moment") from None
        return msgspec.structs.replace(made, is_gone=True)
    except (BucketAway, StorageFull, Conflict):
        raise _Later("the storage does not take it at the moment") from None
    return msgspec.structs.replace(made, object_id=stored.id, filename=stored.filename)


async def _opened(studio: Studio, job: MediaJob, part: Part, made: Made) -> str | AsyncIterator[bytes]:
    way = way_of(studio, job)
    if way is None:
        raise _Later("its provider is not set up any more")
    return await way.open(made, part.key_number)
