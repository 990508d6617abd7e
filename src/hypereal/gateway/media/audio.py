"""The audio routes (contract 3.5): speech, clones and transcripts as jobs that are waited for, and OpenAI's two."""

import asyncio
from functools import partial
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from hypereal.catalog import Kind, SoundKind
from hypereal.gateway.media.asking import Wish
from hypereal.gateway.media.asking_sound import read_sound_wish, sound_wish_of
from hypereal.gateway.media.desk import Desk, error_of, labels
from hypereal.gateway.media.forms import is_form, read_form
from hypereal.gateway.media.job import MediaJob, State
from hypereal.gateway.media.live import Listener
from hypereal.gateway.media.showing import shown
from hypereal.gateway.media.transcripts import FORMATS, ToldSegment, Transcript
from hypereal.kit.access import ApiRoute, Caller, Permission
from hypereal.kit.errors import Conflict, InvalidRequest, NotFound, UpstreamTimeout
from hypereal.kit.money import credits_json

WAIT_S_MAX = 300.0
"""Then the caller gets the job instead, and polls; on OpenAI's routes, an error that names it."""
SPEECH = frozenset({SoundKind.SPEECH})
TRANSCRIPT = frozenset({SoundKind.TRANSCRIPT})


class AudioInput(msgspec.Struct, frozen=True, kw_only=True):
    """What is spoken, or heard."""

    text: str | None = None
    voice_id: str | None = None
    """As `/v1/audio/voices` lists them."""
    audio: str | None = None
    """A recording, by a public https URL, a link of your storage, or a data URL: of the voice that is cloned, or of
    what is to be written down."""
    language: str | None = None
    format: str | None = None
    """`mp3`, `wav`, `opus`, `aac`, `flac`, `pcm`."""
    speed: float | None = None


class AudioBody(AudioInput, frozen=True, kw_only=True):
    """POST /v1/audio/generations and /v1/audio/generate. All members may stand under `input` instead."""

    model: str | None = None
    intent: str | None = None
    """Instead of a model: `text-to-speech`, `speech-to-text`."""
    webhook_url: str | None = None
    input: AudioInput | None = None


class SpeechBody(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/audio/speech, as OpenAI's API has it."""

    input: str
    model: str | None = None
    intent: str | None = None
    voice: str | None = None
    response_format: str | None = None
    speed: float | None = None
    instructions: str | None = None


class TranscriptionBody(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/audio/transcriptions: a form with the file `file`, as OpenAI's API has it, or JSON with a URL in it."""

    file: str
    model: str | None = None
    intent: str | None = None
    language: str | None = None
    prompt: str | None = None
    response_format: str | None = None
    """`json`, `text`, `srt`, `verbose_json`, `vtt`."""


class Sound(msgspec.Struct, frozen=True, kw_only=True):
    """One recording that was made."""

    url: str


class Audio(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer: speech has `data`, a transcript the other three."""

    created: int
    result_id: str = msgspec.field(name="resultId")
    credits_used: msgspec.Raw = msgspec.field(name="creditsUsed")
    data: list[Sound] | None = None
    text: str | None = None
    segments: tuple[ToldSegment, ...] | None = None
    duration: float | None = None


class ShownVoice(msgspec.Struct, frozen=True, kw_only=True):
    """One voice."""

    voice_id: str
    language: str
    gender: str
    aliases: tuple[str, ...]


class Voices(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of /v1/audio/voices."""

    data: list[ShownVoice]


class AudioRoutes:
    """The routes."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def declared(self) -> list[ApiRoute]:
        """All of them."""
        both = [
            ApiRoute(
                method="POST",
                path=f"/v1/audio/{name}",
                permission=Permission.MAKE_MEDIA,
                summary="Speak a text, in a voice of ours or a cloned one, or write down what a recording says.",
                endpoint=partial(self.generate, f"audio/{name}"),
                body=AudioBody,
            )
            for name in ("generations", "generate")
        ]
        return [*both, *self._openai(), self._listing()]

    def _openai(self) -> list[ApiRoute]:
        return [
            ApiRoute(
                method="POST",
                path="/v1/audio/speech",
                permission=Permission.MAKE_MEDIA,
                summary="Speak a text, as OpenAI's API has it; the answer is the sound.",
                endpoint=self.speech,
                body=SpeechBody,
            ),
            ApiRoute(
                method="POST",
                path="/v1/audio/transcriptions",
                permission=Permission.MAKE_MEDIA,
                summary="Write down what a recording says, as OpenAI's API has it.",
                endpoint=self.transcriptions,
                body=TranscriptionBody,
            ),
        ]

    def _listing(self) -> ApiRoute:
        return ApiRoute(
            method="GET",
            path="/v1/audio/voices",
            permission=Permission.READ_JOBS,
            summary="The voices that speech can have; their names are the same at every provider.",
            endpoint=self.voices,
        )

    async def generate(self, endpoint: str, request: Request, caller: Caller) -> Response:
        """POST /v1/audio/generations, /v1/audio/generate"""
        job, _ = await self._desk.begin(request, caller, Kind.AUDIO, endpoint, read_sound_wish)
        job = await self._ended(job)
        if not job.is_final:
            links = self._desk.conductor.studio.storage.links
            return _json(shown(job, links, self._desk.base(request)), 202, labels(job))
        heard = await self._heard(job)
        urls = self._desk.urls(request, job)
        answer = Audio(
            created=int(job.created_at.timestamp()),
            result_id=job.id,
            credits_used=credits_json(job.cost or 0),
            data=[Sound(url=url) for url in urls] if heard is None else None,
            text=None if heard is None else heard.text,
            segments=heard.segments if heard is not None and heard.segments else None,
            duration=None if heard is None else heard.duration,
        )
        return _json(answer, 200, labels(job))

    async def speech(self, request: Request, caller: Caller) -> Response:
        """POST /v1/audio/speech"""
        listener = Listener()

        def read(raw: bytes) -> Wish:
            return msgspec.structs.replace(read_sound_wish(raw, SPEECH), listener=listener)

        job, _ = await self._desk.begin(request, caller, Kind.AUDIO, "audio/speech", read)
        if await self._is_heard(job, listener):
            head = {**labels(job), "x-hypereal-provider": listener.provider}
            del head["x-hypereal-cost-credits"]  # nobody knows yet
            return StreamingResponse(listener.pieces(), 200, head, listener.content_type)
        job = await self._made(job)
        storage = self._desk.conductor.studio.storage
        found = [await storage.find(job.owner_id, one.object_id) for one in job.outputs if one.object_id is not None]
        if not found:
            raise NotFound("What was made has been deleted.")
        head = {**labels(job), "content-length": str(found[0].size_bytes)}
        return StreamingResponse(storage.read(found[0]), 200, head, found[0].content_type)

    async def transcriptions(self, request: Request, caller: Caller) -> Response:
        """POST /v1/audio/transcriptions"""
        read = partial(sound_wish_of, sounds=TRANSCRIPT)
        if is_form(request):
            wish = await read_form(self._desk, request, "file", read)
        else:
            wish = read_sound_wish(await self._desk.body(request), TRANSCRIPT)
        form = _format_of(wish)
        job, _ = await self._desk.begin_with(request, caller, Kind.AUDIO, "audio/transcriptions", wish)
        job = await self._made(job)
        heard = await self._heard(job)
        if heard is None:
            raise NotFound("What was heard has been deleted.")
        content_type, write = FORMATS[form]
        return Response(write(heard), 200, labels(job), content_type)

    async def voices(self, request: Request, caller: Caller) -> Voices:
        """GET /v1/audio/voices"""
        models = self._desk.conductor.studio.ways.catalog.models.values()
        found = {voice.name: voice for model in models if model.sound for voice in model.sound.voices.values()}
        return Voices(
            data=[
                ShownVoice(voice_id=one.name, language=one.language, gender=one.gender, aliases=one.aliases)
                for one in found.values()
            ]
        )

    async def _is_heard(self, job: MediaJob, listener: Listener) -> bool:
        """Whether sound comes before JOB has ended. Raises what it failed of."""
        made, begun = asyncio.create_task(self._made(job)), asyncio.create_task(listener.begun.wait())
        try:
            await asyncio.wait({made, begun}, return_when=asyncio.FIRST_COMPLETED)
            if not listener.begun.is_set():
                await made
            return listener.begun.is_set()
        finally:
            made.cancel()
            begun.cancel()

    async def _ended(self, job: MediaJob) -> MediaJob:
        """JOB once it has ended, or as it is when nobody waits any longer. Raises what it failed of."""
        job = await self._desk.conductor.wait(job.owner_id, job.id, WAIT_S_MAX)
        if job.error is not None:
            raise error_of(job.error, job)
        if job.state is State.CANCELLED:
            raise Conflict("This job was cancelled.", headers=labels(job), details={"jobId": job.id})
        return job

    async def _made(self, job: MediaJob) -> MediaJob:
        """JOB once it is done. Raises what it failed of, and that it takes too long: it goes on."""
        job = await self._ended(job)
        if not job.is_final:
            message = f"It takes longer than {WAIT_S_MAX:g} s. Its job goes on: GET /v1/jobs/{job.id}"
            raise UpstreamTimeout(message, headers=labels(job), details={"jobId": job.id})
        return job

    async def _heard(self, job: MediaJob) -> Transcript | None:
        """The transcript that JOB made; None where it made none."""
        if not any(one.filename.endswith(".json") for one in job.outputs):
            return None
        [body] = await self._desk.bodies(job)
        return msgspec.json.decode(body, type=Transcript)


def _format_of(wish: Wish) -> str:
    """How the transcript is to be written. Raises InvalidRequest."""
    wanted = wish.answer_format or "json"
    if wanted not in FORMATS:
        known = sorted(FORMATS)
        raise InvalidRequest(
            f"response_format: '{wanted}' is none of {', '.join(known)}.",
            param="response_format",
            details={"allowed": known},
        )
    return wanted


def _json(told: Any, status: int, headers: dict[str, str]) -> Response:
    return Response(msgspec.json.encode(told), status, headers, "application/json")
