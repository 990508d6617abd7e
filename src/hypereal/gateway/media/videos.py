"""The video routes (contract 3.3): a job to poll, an answer held open until it is done, OpenAI's API."""

from typing import Any, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from hypereal.catalog import Kind
from hypereal.gateway.media.desk import Desk, error_of, labels
from hypereal.gateway.media.forms import is_form, read_form
from hypereal.gateway.media.job import MediaJob, State
from hypereal.gateway.media.showing import POLL, PROCESSING, shown
from hypereal.kit.access import ApiRoute, Caller, Permission
from hypereal.kit.errors import Conflict, InvalidRequest, NotFound
from hypereal.kit.ids import JobId
from hypereal.kit.money import credits_json

WAIT_S_MAX = 600.0
"""Contract 3.3."""


class VideoInput(msgspec.Struct, frozen=True, kw_only=True):
    """What a video is made of."""

    prompt: str | None = None
    duration: int | None = None
    """Seconds."""
    aspect_ratio: str | None = None
    resolution: str | None = None
    image_url: str | None = None
    """The first picture of it."""
    image_urls: list[str] | None = None
    last_image_url: str | None = None
    seed: int | None = None


class VideoBody(VideoInput, frozen=True, kw_only=True):
    """POST /v1/videos/generate and /v1/video/generations. All members may stand under `input` instead."""

    model: str | None = None
    intent: str | None = None
    """Instead of a model: `text-to-video-fast`, `text-to-video-quality`, `image-to-video`."""
    webhook_url: str | None = None
    input: VideoInput | None = None


class OpenAIVideoBody(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/videos, also as a form with the file `input_reference`."""

    model: str | None = None
    prompt: str | None = None
    seconds: str | None = None
    size: str | None = None


class Begun(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The answer of /v1/videos/generate. `creditsUsed` is what is held."""

    job_id: JobId
    status: str
    poll_url: str
    credits_used: msgspec.Raw


class OpenAIVideo(msgspec.Struct, frozen=True, kw_only=True):
    """A video as OpenAI's clients read it."""

    id: JobId
    object: Literal["video"] = "video"
    model: str
    status: Literal["queued", "in_progress", "completed", "failed"]
    progress: int
    created_at: int
    completed_at: int | None
    expires_at: int | None = None
    seconds: str | None
    size: str | None = None
    error: dict[str, str] | None
    url: str | None


class VideoRoutes:
    """The routes."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def declared(self) -> list[ApiRoute]:
        """All of them."""
        return [*self._making(), *self._looking()]

    def _making(self) -> list[ApiRoute]:
        make = Permission.MAKE_MEDIA
        return [
            ApiRoute(
                method="POST",
                path="/v1/videos/generate",
                permission=make,
                summary="Begin a video; the answer says where to ask for it.",
                endpoint=self.generate,
                status=202,
                body=VideoBody,
            ),
            ApiRoute(
                method="POST",
                path="/v1/video/generations",
                permission=make,
                summary="Make a video and wait for it, ten minutes at most; then the answer is its job.",
                endpoint=self.generations,
                body=VideoBody,
            ),
            ApiRoute(
                method="POST",
                path="/v1/videos",
                permission=make,
                summary="Begin a video, as OpenAI's API has it.",
                endpoint=self.create,
                body=OpenAIVideoBody,
            ),
        ]

    def _looking(self) -> list[ApiRoute]:
        return [
            ApiRoute(
                method="GET",
                path="/v1/videos/{id}",
                permission=Permission.READ_JOBS,
                summary="A video, as OpenAI's API has it.",
                endpoint=self.show,
            ),
            ApiRoute(
                method="GET",
                path="/v1/videos/{id}/content",
                permission=Permission.READ_JOBS,
                summary="The file of a video that is done: a redirect to it.",
                endpoint=self.content,
            ),
        ]

    async def generate(self, request: Request, caller: Caller) -> Response:
        """POST /v1/videos/generate"""
        job, _ = await self._desk.begin(request, caller, Kind.VIDEO, "videos/generate")
        begun = Begun(job_id=job.id, status=PROCESSING, poll_url=POLL + job.id, credits_used=credits_json(job.held))
        return _json(begun, 202, labels(job))

    async def generations(self, request: Request, caller: Caller) -> Response:
        """POST /v1/video/generations"""
        job, _ = await self._desk.begin(request, caller, Kind.VIDEO, "video/generations")
        job = await self._desk.conductor.wait(job.owner_id, job.id, WAIT_S_MAX)
        if job.error is not None:
            raise error_of(job.error, job)
        if job.state is State.CANCELLED:
            raise Conflict("This job was cancelled.", headers=labels(job), details={"jobId": job.id})
        told = shown(job, self._desk.conductor.studio.storage.links, self._desk.base(request))
        return _json(told, 200 if job.is_final else 202, labels(job))

    async def create(self, request: Request, caller: Caller) -> Response:
        """POST /v1/videos"""
        if is_form(request):
            wish = await read_form(self._desk, request, "input_reference")
            job, _ = await self._desk.begin_with(request, caller, Kind.VIDEO, "videos", wish)
        else:
            job, _ = await self._desk.begin(request, caller, Kind.VIDEO, "videos")
        return _json(self._as_openai(request, job), 200, labels(job))

    async def show(self, request: Request, caller: Caller) -> OpenAIVideo:
        """GET /v1/videos/{id}"""
        return self._as_openai(request, await self._found(request, caller))

    async def content(self, request: Request, caller: Caller) -> Response:
        """GET /v1/videos/{id}/content"""
        job = await self._found(request, caller)
        urls = self._desk.urls(request, job)
        if not urls:
            raise InvalidRequest("This video is not done." if not job.is_final else "This video was not made.")
        return RedirectResponse(urls[0], 302)

    async def _found(self, request: Request, caller: Caller) -> MediaJob:
        job = await self._desk.conductor.find(caller.owner_id, JobId(request.path_params["id"]))
        if job.kind != Kind.VIDEO:
            raise NotFound("There is no such video.")
        return job

    def _as_openai(self, request: Request, job: MediaJob) -> OpenAIVideo:
        urls = self._desk.urls(request, job)
        status: Any = {
            State.QUEUED: "queued",
            State.SUBMITTING: "queued",
            State.COMPLETED: "completed",
            State.FAILED: "failed",
            State.CANCELLED: "failed",
        }.get(job.state, "in_progress")
        error = None if job.error is None else {"code": job.error.type, "message": job.error.message}
        if job.state is State.CANCELLED:
            error = {"code": "cancelled", "message": "This job was cancelled."}
        return OpenAIVideo(
            id=job.id,
            model=job.model,
            status=status,
            progress=round((job.progress or 0) * 100),
            created_at=int(job.created_at.timestamp()),
            completed_at=None if job.finished_at is None else int(job.finished_at.timestamp()),
            seconds=None if job.seconds is None else str(job.seconds),
            error=error,
            url=urls[0] if urls else None,
        )


def _json(told: msgspec.Struct, status: int, headers: dict[str, str]) -> Response:
    return Response(msgspec.json.encode(told), status, headers, "application/json")
