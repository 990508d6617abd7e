"""Vendors' calls to us. Each task has an address of its own that nobody can guess; what comes there is only a hint that
it is time to ask the vendor, whoever signed it."""

import re

from starlette.requests import Request
from starlette.responses import Response

from hypereal import jobs
from hypereal.gateway.media import store
from hypereal.gateway.media.addresses import PATH
from hypereal.gateway.media.asking import body_in
from hypereal.gateway.media.studio import Studio
from hypereal.kit.access import LinkRoute
from hypereal.kit.errors import PermissionDenied
from hypereal.kit.ids import JobId
from hypereal.providers.drivers import Call

BODY_BYTES_MAX = 8 * 1024 * 1024
"""Some vendors send what they made along."""

_part = re.compile(r"(job_[0-9a-f]{8,64})-([0-9]{1,9})", re.ASCII).fullmatch


class CallbackRoutes:
    """The route."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    def linked(self) -> list[LinkRoute]:
        """It takes no key: its address is the permission."""
        return [
            LinkRoute(
                methods=("POST",),
                path=PATH + "{id}",
                summary="A vendor says that something is new with a task.",
                endpoint=self.receive,
            )
        ]

    async def receive(self, request: Request) -> Response:
        """POST /v1/callbacks/{id}"""
        name = str(request.path_params["id"])
        addresses = self._studio.addresses
        found = _part(name)
        if found is None or not addresses.is_ours(name, request.query_params.get("s", "")):
            raise PermissionDenied("This address was not made here, or was changed.")
        call = Call(
            method=request.method,
            path=request.url.path,
            query=request.url.query,
            headers={key.lower(): value for key, value in request.headers.items()},
            body=await body_in(request, BODY_BYTES_MAX),
        )
        reply = await self._heard(JobId(found[1]), int(found[2]), call, addresses.secret(name))
        return Response(reply, 200, media_type="application/json" if reply else None)

    async def _heard(self, job_id: JobId, number: int, call: Call, secret: str) -> bytes:
        """Have the job polled at once; what the vendor wants to hear. Raises PermissionDenied for a bad signature."""
        database = self._studio.database
        async with database.connection() as connection:
            row = await store.find_called(connection, job_id, number)
        if row is None:
            return b""
        reply = self._studio.ways.heard(row["target"], call, secret)
        if reply is None:
            raise PermissionDenied("The signature is not good.")
        async with database.transaction() as connection:
            await jobs.hasten(connection, JobId(row["queue_id"]))
        await jobs.announce(database)
        return reply
