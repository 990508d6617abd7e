"""The media routes of the control process: jobs (contract 3.4), and those of each kind of work."""

from typing import Literal

from starlette.requests import Request

from hypereal.gateway.media.audio import AudioRoutes
from hypereal.gateway.media.desk import Desk
from hypereal.gateway.media.images import ImageRoutes
from hypereal.gateway.media.job import MediaJob
from hypereal.gateway.media.showing import ShownJob, shown
from hypereal.gateway.media.videos import VideoRoutes
from hypereal.kit.access import ApiRoute, Caller, Permission
from hypereal.kit.asked import Page, PageQuery, page_of, query_of
from hypereal.kit.ids import JobId


class JobsQuery(PageQuery, frozen=True, kw_only=True):
    """Which jobs, newest first."""

    type: Literal["image", "video", "audio"] | None = None


class JobRoutes:
    """The routes."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def declared(self) -> list[ApiRoute]:
        """All of them."""
        return [
            ApiRoute(
                method="GET",
                path="/v1/jobs",
                permission=Permission.READ_JOBS,
                summary="The account's media jobs, newest first.",
                endpoint=self.list,
                query=JobsQuery,
            ),
            ApiRoute(
                method="GET",
                path="/v1/jobs/{id}",
                permission=Permission.READ_JOBS,
                summary="One job: how it goes, what it waits for, or what it made.",
                endpoint=self.show,
            ),
            ApiRoute(
                method="POST",
                path="/v1/jobs/{id}/cancel",
                permission=Permission.WRITE_JOBS,
                summary="Stop a job; one that no vendor has begun costs nothing.",
                endpoint=self.cancel,
            ),
        ]

    async def list(self, request: Request, caller: Caller) -> Page[ShownJob]:
        """GET /v1/jobs"""
        asked = query_of(request, JobsQuery)
        before = JobId(asked.after) if asked.after else None
        found = await self._desk.conductor.list_jobs(
            caller.owner_id, kind=asked.type, before=before, limit=asked.limit + 1
        )
        return page_of([self._shown(request, job) for job in found], asked.limit, lambda job: job.job_id)

    async def show(self, request: Request, caller: Caller) -> ShownJob:
        """GET /v1/jobs/{id}"""
        return self._shown(request, await self._desk.conductor.find(caller.owner_id, _id_in(request)))

    async def cancel(self, request: Request, caller: Caller) -> ShownJob:
        """POST /v1/jobs/{id}/cancel"""
        return self._shown(request, await self._desk.conductor.cancel(caller.owner_id, _id_in(request)))

    def _shown(self, request: Request, job: MediaJob) -> ShownJob:
        return shown(job, self._desk.conductor.studio.storage.links, self._desk.base(request))


def routes(desk: Desk) -> list[ApiRoute]:
    """Every route of media."""
    return [
        *JobRoutes(desk).declared(),
        *ImageRoutes(desk).declared(),
        *VideoRoutes(desk).declared(),
        *AudioRoutes(desk).declared(),
    ]


def _id_in(request: Request) -> JobId:
    return JobId(request.path_params["id"])
