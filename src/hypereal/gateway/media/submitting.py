"""Asking a vendor. What is about to be asked is written first (the *intent*), what came of it at once after.

Where the second is missing, a worker died in between, and nobody can tell whether the vendor began. It is asked again
only where that begins nothing twice; else the task is looked for; else the job ends, and its owner pays nothing.
"""

import asyncio
import random
from collections.abc import AsyncIterator

import msgspec

from hypereal import jobs
from hypereal.gateway.media import sounds, store
from hypereal.gateway.media.deciding import UNKNOWN, failed, fall_over, go_on, is_overdue, timed_out
from hypereal.gateway.media.ending import End, conclude
from hypereal.gateway.media.job import Ask, Made, MediaJob, Part, PartState, Problem, State
from hypereal.gateway.media.live import Listener
from hypereal.gateway.media.materials import CannotBring
from hypereal.gateway.media.sounds import ENDINGS as ENDING_OF
from hypereal.gateway.media.studio import Studio, current, number_from
from hypereal.gateway.media.transcripts import CONTENT_TYPE as TRANSCRIPT
from hypereal.gateway.media.transcripts import transcript_of
from hypereal.gateway.media.ways import ELSEWHERE, UNSUPPORTED, Way
from hypereal.jobs import Done, Job, Outcome
from hypereal.kit import media_types
from hypereal.kit.errors import InvalidRequest, UnusableUrl
from hypereal.providers.drivers import (
    Accepted,
    Facts,
    Failed,
    Fault,
    FaultKind,
    Finished,
    Output,
    Unclear,
    Work,
)
from hypereal.providers.drivers import Outcome as Said
from hypereal.storage import BucketAway, Copy, StorageFull, store_output

TRIES_MAX = 3
"""Of one part at one target, by one worker: the second for what was surely not begun, and for a key that is refused."""
PAUSE_S = (0.5, 1.5)
KEEP_TRIES_MAX = 5
KEEP_PAUSE_S = 2.0
ENDINGS = {"image": ".png", "video": ".mp4", "audio": ".mp3"}
AUDIO_ENDINGS = {TRANSCRIPT: ".json"} | {kind: f".{ENDING_OF.get(name, name)}" for name, kind in sounds.TYPES.items()}


async def submit(studio: Studio, todo: Job) -> Outcome:
    """One step: the target that the job is with is asked for all that is wanted."""
    loaded = await studio.load(todo)
    if loaded is None or loaded[0].is_final:
        return Done()
    job, parts = loaded
    if is_overdue(job) and not current(job, parts):
        return await timed_out(studio, todo, job)
    async with studio.database.connection() as connection:
        ask = await studio.ask_of(connection, job.owner_id, job.id)
    if ask is None:
        problem = Problem(type="api_error", message="What was asked for cannot be read any more.", status=500)
        return await failed(studio, todo, job, problem)
    way = studio.ways.of(job.target_name, ask.kind)
    if way is None:
        return await fall_over(studio, todo, job, [_refused(job, "This provider is not set up any more.")])
    try:
        work = await _prepared(way, job, ask)
    except CannotBring as error:
        return await fall_over(studio, todo, job, [_refused(job, str(error))])
    except InvalidRequest as error:
        return await failed(studio, todo, job, Problem(type=error.type, message=error.message, status=error.status))
    mine = current(job, parts)
    is_new = not mine
    if is_new:
        mine = _planned(job, way)
        if not await _intend(studio, todo, job, mine):
            return await _stopped(studio, todo)
    return await _ask_all(studio, todo, job, way, (work, mine, is_new))


async def _ask_all(studio: Studio, todo: Job, job: MediaJob, way: Way, asked: tuple[Work, list[Part], bool]) -> Outcome:
    work, parts, is_new = asked
    told: list[tuple[Part, float] | BaseException] = await asyncio.gather(
        *(_ask(studio, todo, job, way, (work, part, is_new)) for part in parts), return_exceptions=True
    )
    answers = []
    for one in told:
        if isinstance(one, BaseException):
            raise one
        answers.append(one)
    after_s = min((pause_s for part, pause_s in answers if part.state is PartState.RUNNING), default=0.0)
    fresh = await studio.load(todo)  # its owner may have cancelled it
    if fresh is None:
        return Done()
    return await go_on(studio, todo, fresh[0], [part for part, _ in answers], poll_s=after_s)


async def _prepared(way: Way, job: MediaJob, ask: Ask) -> Work:
    """ASK as WAY wants it; a file that does not come is asked for twice."""
    try:
        return await way.prepare(job.owner_id, ask, job.id)
    except UnusableUrl as error:
        if not error.is_temporary:
            raise
    await asyncio.sleep(random.uniform(*PAUSE_S))
    return await way.prepare(job.owner_id, ask, job.id)


def _planned(job: MediaJob, way: Way) -> list[Part]:
    first, counts = number_from(job), [job.n] if way.is_batch else [1] * job.n
    key_number = int(job.id[-6:], 16) % way.keys
    return [
        Part(number=first + place, target=job.target_name, n=count, key_number=key_number)
        for place, count in enumerate(counts)
    ]


async def _intend(studio: Studio, todo: Job, job: MediaJob, parts: list[Part]) -> bool:
    """Write that the vendor is about to be asked. False where the job was cancelled meanwhile."""
    async with studio.database.transaction() as connection:
        await jobs.confirm(connection, todo)
        if not await store.begin(connection, job.owner_id, job.id):
            return False
        await store.write_parts(connection, job.owner_id, job.id, parts)
    return True


async def _stopped(studio: Studio, todo: Job) -> Outcome:
    """The owner has cancelled it before a vendor was asked."""
    loaded = await studio.load(todo)
    if loaded is None or loaded[0].is_final:
        return Done()
    return await conclude(studio, todo, loaded[0], End(state=State.CANCELLED))


async def _ask(
    studio: Studio, todo: Job, job: MediaJob, way: Way, asked: tuple[Work, Part, bool]
) -> tuple[Part, float]:
    """What became of a part, written down where it must not be forgotten; and when to poll it."""
    work, part, is_new = asked
    if part.state is not PartState.ASKING:
        return part, 0.0
    key = f"{job.id}-{part.number}"
    work = msgspec.structs.replace(work, n=part.n, key=key)
    if way.is_called_back and (url := studio.addresses.url(key)) is not None:
        work = msgspec.structs.replace(work, callback_url=url, callback_secret=studio.addresses.secret(key))
    if is_new or way.is_idempotent:
        listener = studio.live.to(job.id)
        part, said = await _asked(way, work, part, listener)
        if listener is not None and listener.is_broken:
            return await became(studio, job, part, Unclear(fault=_unknown())), 0.0  # no other's can follow that part
    else:
        said = Unclear(fault=_unknown())
    if isinstance(said, Unclear) and (task := way.recover(work)) is not None:
        said = Accepted(task=task, poll_after_s=0.0)
    if isinstance(said, Unclear) and is_new and way.is_direct:
        said = Failed(fault=said.fault)  # nothing goes on there, so the next target may be asked
    part = await became(studio, job, part, said)
    if part.state in (PartState.RUNNING, PartState.MADE):
        await studio.keep(todo, job, part)
    return part, said.poll_after_s if isinstance(said, Accepted) else 0.0


async def _asked(way: Way, work: Work, part: Part, listener: Listener | None) -> tuple[Part, Said]:
    """The answer, after another try where that can help and begins nothing twice."""
    for left in reversed(range(TRIES_MAX)):
        said = await _told(way, work, part, listener)
        if listener is not None and listener.is_broken:
            break
        is_same_again = isinstance(said, Unclear) and way.is_idempotent
        if isinstance(said, Failed):
            if said.fault.kind is FaultKind.CREDENTIAL and left and way.keys > 1:
                part = msgspec.structs.replace(part, key_number=(part.key_number + 1) % way.keys)
                continue
            is_first = left == TRIES_MAX - 1
            may_mend = said.fault.code not in (UNSUPPORTED, ELSEWHERE)
            is_same_again = said.fault.kind is FaultKind.VENDOR and may_mend and is_first
        if not is_same_again or not left:
            break
        await asyncio.sleep(random.uniform(*PAUSE_S))
    return part, said


async def _told(way: Way, work: Work, part: Part, listener: Listener | None) -> Said:
    """The answer; who hears it is told of its end, whatever that is."""
    said: Said | None = None
    try:
        said = await way.submit(work, part.key_number, listener)
    finally:
        if listener is not None:
            listener.end(is_whole=isinstance(said, Finished))
    return said


async def became(studio: Studio, job: MediaJob, part: Part, said: Said) -> Part:
    """PART after what a vendor has said. Bytes that it gave are stored by then."""
    match said:
        case Accepted():
            return msgspec.structs.replace(part, state=PartState.RUNNING, task=said.task)
        case Finished():
            given = [await asyncio.to_thread(_readied, one, said.facts) for one in said.outputs[: part.n]]
            made = [await _made(studio, job, part, place, *one) for place, one in enumerate(given)]
            return msgspec.structs.replace(part, state=PartState.MADE, outputs=tuple(made))
        case Failed():
            return msgspec.structs.replace(part, state=PartState.FAILED, fault=said.fault)
        case Unclear():
            return msgspec.structs.replace(part, state=PartState.FAILED, fault=_unknown())
        case _:
            return part


def _readied(output: Output, facts: Facts) -> tuple[Output, float | None]:
    """OUTPUT as it is stored: of a transcript, a file; and how long speech lasts, where its bytes are here and tell."""
    if not output.url and not output.body:
        body = msgspec.json.encode(transcript_of(output, facts.duration_ms))
        return msgspec.structs.replace(output, body=body, content_type=TRANSCRIPT), None
    content_type = media_types.settle(output.content_type, output.body[: media_types.SNIFFED_BYTES])
    if not content_type.startswith("audio/"):
        return output, None
    try:
        return output, sounds.seconds_of(output.body, content_type)
    except sounds.BadRecording:
        return output, None


async def _made(studio: Studio, job: MediaJob, part: Part, place: int, output: Output, seconds: float | None) -> Made:
    name = "transcript" if output.content_type == TRANSCRIPT else f"{job.kind}-{place + 1}"
    made = Made(
        filename=name + AUDIO_ENDINGS.get(output.content_type, ENDINGS[job.kind]),
        seconds=seconds,
        content_type=output.content_type,
        url=output.url,
        needs_credential=output.needs_credential,
        revised_prompt=output.revised_prompt,
    )
    return await _kept(studio, job, part, (place, made, output.body)) if output.body else made


async def _kept(studio: Studio, job: MediaJob, part: Part, what: tuple[int, Made, bytes]) -> Made:
    """Bytes are stored at once, since nothing else has them; a storage that is away is waited for a little."""
    place, made, body = what

    async def pieces() -> AsyncIterator[bytes]:
        yield body

    copy = Copy(name=f"{job.id}/{part.number}/{place}", filename=made.filename, content_type=made.content_type)
    for left in reversed(range(KEEP_TRIES_MAX)):
        try:
            stored = await store_output(studio.storage, studio.outbound, job.owner_id, pieces(), copy)
        except (BucketAway, StorageFull):
            if not left:
                raise
            await asyncio.sleep(KEEP_PAUSE_S)
        else:
            return msgspec.structs.replace(made, object_id=stored.id, filename=stored.filename)
    raise AssertionError("the last try returns or raises")


def _unknown() -> Fault:
    return Fault(
        kind=FaultKind.VENDOR,
        code=UNKNOWN,
        message="The connection to the provider was lost while it was asked, so nobody can tell whether it began. It "
        "was not asked again, and nothing was charged.",
    )


def _refused(job: MediaJob, message: str) -> Part:
    """What stands for a target that was not asked, since it cannot do this."""
    fault = Fault(kind=FaultKind.VENDOR, code=UNSUPPORTED, message=message)
    return Part(number=number_from(job), target=job.target_name, n=job.n, state=PartState.FAILED, fault=fault)
