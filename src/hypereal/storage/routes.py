"""The storage's routes of the control process (contract 3.6), and those that a signed link opens."""

from datetime import datetime, timedelta
from time import time
from typing import Annotated

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from hypereal.kit.access import ApiRoute, Caller, LinkRoute, Permission
from hypereal.kit.asked import Page, PageQuery, body_of, page_of, query_of
from hypereal.kit.errors import InvalidRequest, PermissionDenied
from hypereal.kit.ids import ObjectId
from hypereal.kit.money import credits_json, micro_from_credits
from hypereal.storage.buckets import Link
from hypereal.storage.links import FILES, UPLOADS
from hypereal.storage.objects import GB, MONTH_S, Kind, StoredObject
from hypereal.storage.receiving import SIZE_MAX, read_part, receive, received_bytes
from hypereal.storage.serving import GUARDS, serve
from hypereal.storage.storage import UPLOAD_S, NewObject, Storage

FILENAME_GIVEN_MAX = 1_000
PUT_BYTES_MAX = 5 * GB
"""Of one PUT to a bucket: S3 takes 5 GiB."""
PARTS_FROM_BYTES = 64 * 1024 * 1024
PART_BYTES_MIN = 16 * 1024 * 1024
PARTS_MAX = 1_000
"""What one list of parts of a bucket holds; with S3's largest part that makes 5 TB, its largest object."""
PART_BYTES_MAX = 5 * GB
PREFLIGHT = {
    "access-control-allow-methods": "GET, HEAD, PUT",
    "access-control-allow-headers": "content-type, content-range, range, if-range",
    "access-control-max-age": "86400",
}


class UploadBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """What is to be uploaded."""

    filename: Annotated[str, msgspec.Meta(min_length=1, max_length=FILENAME_GIVEN_MAX)]
    content_type: Annotated[str, msgspec.Meta(max_length=FILENAME_GIVEN_MAX)] = ""
    kind: Kind
    size: Annotated[int, msgspec.Meta(ge=0, le=SIZE_MAX)] | None = None


class CompleteBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing: which parts came is known here."""


class StorageQuery(PageQuery, frozen=True, kw_only=True):
    """Which objects, newest first."""

    kind: Kind | None = None


class ShownObject(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An object as the API tells of it."""

    id: ObjectId
    key: str
    kind: Kind
    state: str
    filename: str
    content_type: str
    size: int | None
    sha256: str | None
    etag: str | None
    url: str
    created_at: datetime
    expires_at: datetime | None
    """When a pending one is given up, or a ready one's retention ends."""


class Parts(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How to upload in parts, in any order and several at once."""

    part_size: int
    """Of each but the last."""
    urls: list[str]
    """One PUT each."""
    complete_url: str
    """POST here once all are there."""


class ShownUpload(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Where to upload, and where the object will be."""

    id: ObjectId
    key: str
    upload_url: str
    """One PUT of all."""
    url: str
    expires_at: datetime
    parts: Parts | None = None
    """Instead of `uploadUrl`, for what is large."""


class ShownSums(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What an account has stored."""

    objects: int
    size: int
    reserved: int
    """Announced, still to come."""
    quota: int | None
    gb_months: float
    """Since the account's first object: 10^9 bytes kept for 30 days are one."""
    price_per_gb_month: msgspec.Raw
    """Credits."""


class StorageRoutes:
    """The routes, and what they need. PUBLIC_URL is the setting."""

    def __init__(self, storage: Storage, public_url: str | None) -> None:
        self._storage = storage
        self._public_url = public_url

    def declared(self) -> list[ApiRoute]:
        """Those that take a key."""
        read, write = Permission.READ_STORAGE, Permission.WRITE_STORAGE
        return [
            ApiRoute(
                method="POST",
                path="/v1/storage/upload",
                permission=write,
                summary="Announce a file; the answer says where to PUT it.",
                endpoint=self.upload,
                status=201,
                body=UploadBody,
            ),
            ApiRoute(
                method="GET",
                path="/v1/storage",
                permission=read,
                summary="The account's files, newest first.",
                endpoint=self.list,
                query=StorageQuery,
            ),
            ApiRoute(
                method="GET",
                path="/v1/storage/{id}",
                permission=read,
                summary="One file, or one that is still to come.",
                endpoint=self.show,
            ),
            ApiRoute(
                method="POST",
                path="/v1/storage/{id}/complete",
                permission=write,
                summary="Say that all parts of an upload are there.",
                endpoint=self.complete,
                body=CompleteBody,
            ),
            ApiRoute(
                method="DELETE",
                path="/v1/storage/{id}",
                permission=write,
                summary="Delete a file; its links end at once.",
                endpoint=self.delete,
            ),
            ApiRoute(
                method="GET",
                path="/api/storage",
                permission=Permission.READ_USAGE,
                summary="How much the account has stored, its quota, and what storing costs.",
                endpoint=self.sums,
            ),
        ]

    def linked(self) -> list[LinkRoute]:
        """Those whose link is the permission."""
        return [
            LinkRoute(
                methods=("GET", "HEAD", "OPTIONS"),
                path=FILES + "{id}/{filename}",
                summary="A stored file, or a part of it.",
                endpoint=self.download,
            ),
            LinkRoute(
                methods=("PUT", "HEAD", "OPTIONS"),
                path=UPLOADS + "{id}",
                summary="Receive a file whose upload was announced; HEAD tells how much of it has come.",
                endpoint=self.receive,
            ),
        ]

    # -- with a key ------------------------------------------------------------------------------------------------

    async def upload(self, request: Request, caller: Caller) -> ShownUpload:
        """POST /v1/storage/upload"""
        asked = await body_of(request, UploadBody)
        new = NewObject(
            filename=asked.filename,
            content_type=asked.content_type,
            kind=asked.kind,
            size_bytes=asked.size,
            is_in_parts=asked.size is not None and asked.size > PARTS_FROM_BYTES,
        )
        pending = await self._storage.announce(caller.owner_id, new)
        base = self._base(request)
        return ShownUpload(
            id=pending.id,
            key=pending.key,
            upload_url=self._upload_url(pending, base),
            url=base + self._storage.links.download(pending.id, pending.filename),
            expires_at=pending.upload_until,
            parts=self._parts(pending, base),
        )

    async def list(self, request: Request, caller: Caller) -> Page[ShownObject]:
        """GET /v1/storage"""
        asked = query_of(request, StorageQuery)
        before = ObjectId(asked.after) if asked.after else None
        found = await self._storage.list_objects(caller.owner_id, kind=asked.kind, before=before, limit=asked.limit + 1)
        base = self._base(request)
        return page_of([self._shown(stored, base) for stored in found], asked.limit, lambda stored: stored.id)

    async def show(self, request: Request, caller: Caller) -> ShownObject:
        """GET /v1/storage/{id}"""
        return self._shown(await self._storage.find(caller.owner_id, _id_in(request)), self._base(request))

    async def complete(self, request: Request, caller: Caller) -> ShownObject:
        """POST /v1/storage/{id}/complete"""
        await body_of(request, CompleteBody)
        return self._shown(await self._storage.complete(caller.owner_id, _id_in(request)), self._base(request))

    async def delete(self, request: Request, caller: Caller) -> None:
        """DELETE /v1/storage/{id}"""
        await self._storage.delete(caller.owner_id, _id_in(request))

    async def sums(self, _: Request, caller: Caller) -> ShownSums:
        """GET /api/storage"""
        found = await self._storage.sums(caller.owner_id)
        return ShownSums(
            objects=found.objects,
            size=found.size_bytes,
            reserved=found.reserved_bytes,
            quota=self._storage.quota_bytes,
            gb_months=round(found.byte_seconds / (GB * MONTH_S), 6),
            price_per_gb_month=credits_json(micro_from_credits(str(self._storage.settings.price_gb_month))),
        )

    # -- with a link -----------------------------------------------------------------------------------------------

    async def download(self, request: Request) -> Response:
        """GET /v1/files/{id}/{filename}"""
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=GUARDS | PREFLIGHT)
        return await serve(self._storage, request)

    async def receive(self, request: Request) -> Response:
        """PUT /v1/uploads/{id}"""
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=GUARDS | PREFLIGHT)
        until, signature = (request.query_params.get(name, "") for name in ("until", "s"))
        object_id = _id_in(request)
        if not self._storage.links.may_upload(object_id, until, signature, time()):
            raise PermissionDenied("This link has ended, was not made here, or was changed.")
        pending = await self._storage.find_linked(object_id)
        if request.method == "HEAD":
            size_bytes = pending.size_bytes if pending.is_ready else received_bytes(self._storage, pending)
            return Response(headers={**GUARDS, "upload-offset": str(size_bytes)})
        length = request.headers.get("content-length")
        part = read_part(request.headers.get("content-range"), None if length is None else int(length))
        try:
            came = await receive(self._storage, pending, part, request.stream())
        except ClientDisconnect:
            raise InvalidRequest("The upload broke off.") from None  # to nobody
        if isinstance(came, int):
            return Response(status_code=202, headers={**GUARDS, "upload-offset": str(came)})
        shown = self._shown(came, self._base(request))
        headers = {**GUARDS, "etag": f'"{came.etag}"'}
        return Response(msgspec.json.encode(shown), headers=headers, media_type="application/json")

    # -- what is told ----------------------------------------------------------------------------------------------

    def _base(self, request: Request) -> str:
        """Where links lead. Without a setting: where this request came to."""
        return self._public_url or f"http://{request.headers.get('host', 'localhost')}"

    def _shown(self, stored: StoredObject, base: str) -> ShownObject:
        return ShownObject(
            id=stored.id,
            key=stored.key,
            kind=stored.kind,
            state=stored.state,
            filename=stored.filename,
            content_type=stored.content_type,
            size=stored.size_bytes,
            sha256=stored.sha256,
            etag=stored.etag,
            url=base + self._storage.links.download(stored.id, stored.filename),
            created_at=stored.created_at,
            expires_at=self._expires_at(stored),
        )

    def _expires_at(self, stored: StoredObject) -> datetime | None:
        days = self._storage.settings.output_days
        if stored.ready_at is None:
            return stored.upload_until
        return stored.ready_at + timedelta(days=days) if stored.kind is Kind.OUTPUT and days is not None else None

    def _upload_url(self, pending: StoredObject, base: str) -> str:
        direct = self._storage.bucket.direct
        if direct is not None and (pending.size_bytes or 0) <= PUT_BYTES_MAX:
            return direct.link(Link(method="PUT", key=pending.key, expires_s=UPLOAD_S, size_bytes=pending.size_bytes))
        until = int(pending.upload_until.timestamp())
        return base + self._storage.links.upload(pending.id, until)

    def _parts(self, pending: StoredObject, base: str) -> Parts | None:
        direct, size = self._storage.bucket.direct, pending.size_bytes
        if direct is None or pending.parts_id is None or size is None:
            return None
        part_size = max(PART_BYTES_MIN, -(-size // PARTS_MAX))
        if part_size > PART_BYTES_MAX:
            return None
        urls = [
            direct.link(Link(method="PUT", key=pending.key, expires_s=UPLOAD_S, part=(pending.parts_id, number)))
            for number in range(1, -(-size // part_size) + 1)
        ]
        return Parts(part_size=part_size, urls=urls, complete_url=f"{base}/v1/storage/{pending.id}/complete")


def _id_in(request: Request) -> ObjectId:
    return ObjectId(request.path_params["id"])
