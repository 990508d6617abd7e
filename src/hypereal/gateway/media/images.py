"""The image routes (contract 3.1, 3.2): the caller waits while the job is done."""

import base64

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from hypereal.catalog import Kind
from hypereal.gateway.media.asking import Wish
from hypereal.gateway.media.desk import Desk, error_of, labels
from hypereal.gateway.media.forms import is_form, read_form
from hypereal.gateway.media.job import MediaJob, State
from hypereal.gateway.media.showing import shown
from hypereal.kit.access import ApiRoute, Caller, Permission
from hypereal.kit.errors import Conflict, InvalidRequest
from hypereal.kit.money import credits_json

WAIT_S_MAX = 300.0
"""Then the caller gets the job instead, and polls."""


class ImageBody(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/images/generations and /v1/images/generate. Other members go on to the vendor, where it has a use for
    them; all may stand under `input` too."""

    prompt: str
    model: str | None = None
    intent: str | None = None
    """Instead of a model: `text-to-image-fast`, `text-to-image-quality`, `image-edit`."""
    n: int = 1
    size: str | None = None
    aspect_ratio: str | None = None
    resolution: str | None = None
    image: str | list[str] | None = None
    reference_images: list[str] | None = None
    image_urls: list[str] | None = None
    response_format: str | None = None
    """`url` or `b64_json`."""
    webhook_url: str | None = None


class Image(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One picture."""

    url: str | None = None
    b64_json: str | None = None
    model: str | None = None
    revised_prompt: str | None = None


class Images(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer. `creditsUsed` is what was charged: for the images that are here."""

    created: int
    data: list[Image]
    result_id: str = msgspec.field(name="resultId")
    credits_used: msgspec.Raw = msgspec.field(name="creditsUsed")


class ImageRoutes:
    """The routes."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def declared(self) -> list[ApiRoute]:
        """All of them."""
        make = Permission.MAKE_MEDIA
        return [
            ApiRoute(
                method="POST",
                path="/v1/images/generations",
                permission=make,
                summary="Make images, as OpenAI's API has it; the answer has them, or their job where they take long.",
                endpoint=self.generations,
                body=ImageBody,
            ),
            ApiRoute(
                method="POST",
                path="/v1/images/generate",
                permission=make,
                summary="Make images by a model or an intent; the answer names the model that made them.",
                endpoint=self.generate,
                body=ImageBody,
            ),
            ApiRoute(
                method="POST",
                path="/v1/images/edits",
                permission=make,
                summary="Make images from images: a form with files, as OpenAI's API has it, or JSON.",
                endpoint=self.edits,
                body=ImageBody,
            ),
        ]

    async def generations(self, request: Request, caller: Caller) -> Response:
        """POST /v1/images/generations"""
        job, wish = await self._desk.begin(request, caller, Kind.IMAGE, "images/generations")
        return await self._answer(request, job, wish)

    async def generate(self, request: Request, caller: Caller) -> Response:
        """POST /v1/images/generate"""
        job, wish = await self._desk.begin(request, caller, Kind.IMAGE, "images/generate")
        return await self._answer(request, job, wish, names_model=True)

    async def edits(self, request: Request, caller: Caller) -> Response:
        """POST /v1/images/edits"""
        if not is_form(request):
            job, wish = await self._desk.begin(request, caller, Kind.IMAGE, "images/edits")
            return await self._answer(request, job, wish)
        wish = await read_form(self._desk, request, "image")
        if not wish.references:
            raise InvalidRequest("image: give at least one file.", param="image")
        job, wish = await self._desk.begin_with(request, caller, Kind.IMAGE, "images/edits", wish)
        return await self._answer(request, job, wish)

    async def _answer(self, request: Request, job: MediaJob, wish: Wish, *, names_model: bool = False) -> Response:
        """The images; the job where they are not done in time. Raises what the job failed of."""
        job = await self._desk.conductor.wait(job.owner_id, job.id, WAIT_S_MAX)
        if job.error is not None:
            raise error_of(job.error, job)
        if job.state is State.CANCELLED:
            raise Conflict("This job was cancelled.", headers=labels(job), details={"jobId": job.id})
        links = self._desk.conductor.studio.storage.links
        if not job.is_final:
            return _json(shown(job, links, self._desk.base(request)), 202, labels(job))
        urls = self._desk.urls(request, job)
        packed = [base64.b64encode(one).decode() for one in await self._desk.bodies(job)] if wish.wants_base64 else []
        data = [
            Image(
                url=None if packed else url,
                b64_json=packed[place] if packed else None,
                model=job.model if names_model else None,
                revised_prompt=job.outputs[place].revised_prompt,
            )
            for place, url in enumerate(urls)
        ]
        answer = Images(
            created=int(job.created_at.timestamp()),
            data=data,
            result_id=job.id,
            credits_used=credits_json(job.cost or 0),
        )
        return _json(answer, 200, labels(job))


def _json(told: msgspec.Struct, status: int, headers: dict[str, str]) -> Response:
    return Response(msgspec.json.encode(told), status, headers, "application/json")
