"""Objects in a bucket that speaks S3: Amazon's, R2, MinIO, and others. Callers reach it themselves by signed URLs.

obstore moves bytes. URLs and uploads in parts are signed here, since it signs no queries; what an answer is called, and
which part a caller sends, stand in one. Facts: Amazon S3's API reference.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from html import escape, unescape
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import httpx2
import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from hypereal.kit.errors import InvalidRequest, NotFound
from hypereal.kit.s3_address import S3Address
from hypereal.kit.sigv4 import AwsCredentials, Presigned, presigned_query
from hypereal.storage.buckets.bucket import Direct, Link, Stat
from hypereal.storage.buckets.s3_faults import away
from hypereal.storage.faults import BucketAway

if TYPE_CHECKING:
    from collections.abc import Iterator

    from obstore.store import S3Config

PIECE_BYTES = 1024 * 1024
PART_BYTES_MIN = 5 * 1024 * 1024
"""S3's own."""
PARTS_MAX = 9_000
"""Of what we send; S3 takes 10,000."""
PARTS_AT_ONCE = 2
"""Memory of one transfer: so many parts, twice."""
ASK_S_MAX = 300.0
RETRIES_MAX = 3
RETRY_S_MAX = 20
ANSWER_BYTES_MAX = 4 * 1024 * 1024
LINK_S_OWN = 300

_upload_id = re.compile(r"<UploadId>([^<]{1,1024})</UploadId>").search
_parts = re.compile(r"<Part>(.*?)</Part>", re.S).findall
_part_number = re.compile(r"<PartNumber>([0-9]{1,5})</PartNumber>").search
_part_etag = re.compile(r"<ETag>([^<]{1,256})</ETag>").search


class S3:
    """One bucket."""

    def __init__(self, address: S3Address, credentials: AwsCredentials) -> None:
        self._credentials = credentials
        self._prefix = address.prefix
        self._bucket = address.bucket
        self.direct: Direct | None = self
        is_by_host = not address.endpoint and "." not in address.bucket
        endpoint = address.endpoint or f"https://s3.{address.region}.amazonaws.com"
        at = urlsplit(endpoint)
        self._scheme = at.scheme
        self._authority = f"{address.bucket}.{at.netloc}" if is_by_host else at.netloc
        self._base = at.path if is_by_host else f"{at.path}/{address.bucket}"
        config: S3Config = {
            "endpoint": endpoint if not is_by_host else f"https://{self._authority}",
            "region": address.region,
            "access_key_id": credentials.access_key_id,
            "secret_access_key": credentials.secret_access_key,
            "virtual_hosted_style_request": is_by_host,
        }
        if credentials.session_token is not None:
            config["session_token"] = credentials.session_token
        self._store = S3Store(
            address.bucket,
            config=config,
            client_options={"allow_http": at.scheme == "http", "timeout": f"{ASK_S_MAX:.0f}s"},
            retry_config={"max_retries": RETRIES_MAX, "retry_timeout": timedelta(seconds=RETRY_S_MAX)},
        )
        self._client: httpx2.AsyncClient | None = None

    # -- bytes through us ------------------------------------------------------------------------------------------

    async def put(self, key: str, file: Path, content_type: str) -> Stat:
        """In parts where it is long; an upload that is broken off leaves no object."""
        size_bytes = (await asyncio.to_thread(file.stat)).st_size
        part_bytes = max(PART_BYTES_MIN, -(-size_bytes // PARTS_MAX))
        with _faults():
            try:
                told = await obstore.put_async(
                    self._store,
                    self._prefix + key,
                    file,
                    attributes={"Content-Type": content_type},
                    chunk_size=part_bytes,
                    max_concurrency=PARTS_AT_ONCE,
                )
            except FileNotFoundError:
                raise BucketAway(f"there is no bucket {self._bucket}: make it, or mend [storage] url") from None
        return Stat(size_bytes=size_bytes, etag=_bare(told["e_tag"]))

    async def stat(self, key: str) -> Stat | None:
        """As S3 has it."""
        with _faults():
            try:
                found = await obstore.head_async(self._store, self._prefix + key)
            except FileNotFoundError:
                return None
        return Stat(size_bytes=found["size"], etag=_bare(found["e_tag"]))

    async def read(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        """In pieces of about PIECE_BYTES."""
        if start >= end:
            return
        with _faults():
            try:
                found = await obstore.get_async(self._store, self._prefix + key, options={"range": (start, end)})
            except FileNotFoundError:
                raise NotFound("Its bytes are not there.") from None
            async for piece in found.stream(min_chunk_size=PIECE_BYTES):
                yield bytes(piece)

    async def delete(self, keys: Sequence[str]) -> None:
        """One request each: not every S3 can delete several at once."""
        with _faults():
            for key in keys:
                with suppress(FileNotFoundError):
                    await obstore.delete_async(self._store, self._prefix + key)

    async def close(self) -> None:
        """Of uploads in parts."""
        if self._client is not None:
            await self._client.aclose()

    # -- signed URLs -----------------------------------------------------------------------------------------------

    def link(self, link: Link) -> str:
        """Signed for its method, its key, and what else the link says."""
        query = {}
        if link.content_type is not None:
            query["response-content-type"] = link.content_type
        if link.disposition is not None:
            query["response-content-disposition"] = link.disposition
        if link.part is not None:
            query["uploadId"], query["partNumber"] = link.part[0], str(link.part[1])
        headers = [] if link.size_bytes is None else [("content-length", str(link.size_bytes))]
        return self._url(link.method, link.key, query, headers=headers, expires_s=link.expires_s)

    def _url(
        self,
        method: str,
        key: str,
        query: Mapping[str, str],
        *,
        headers: Sequence[tuple[str, str]] = (),
        expires_s: int = LINK_S_OWN,
    ) -> str:
        path = quote(f"{self._base}/{self._prefix}{key}", safe="/~")
        request = Presigned(
            method=method, authority=self._authority, path=path, query=query, headers=headers, expires_s=expires_s
        )
        signed = presigned_query(self._credentials, request, time.time())
        return f"{self._scheme}://{self._authority}{path}?{signed}"

    # -- uploads in parts ------------------------------------------------------------------------------------------

    async def begin_parts(self, key: str, content_type: str) -> str:
        """CreateMultipartUpload"""
        told = await self._ask("POST", key, {"uploads": ""}, content_type=content_type)
        found = _upload_id(told)
        if found is None:
            raise BucketAway("It names no upload.")
        return unescape(found.group(1))

    async def complete_parts(self, key: str, upload_id: str) -> None:
        """ListParts, then CompleteMultipartUpload: what came is known here, so callers need not keep ETags."""
        told = await self._ask("GET", key, {"uploadId": upload_id})
        parts = []
        for part in _parts(told):
            number, etag = _part_number(part), _part_etag(part)
            if number is not None and etag is not None:
                parts.append((int(number.group(1)), unescape(etag.group(1))))
        if not parts:
            raise InvalidRequest("No part has been uploaded yet.")
        listed = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(etag, quote=False)}</ETag></Part>"
            for number, etag in sorted(parts)
        )
        body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
        told = await self._ask("POST", key, {"uploadId": upload_id}, body=body)
        if "<Error>" in told:  # S3 may answer 200 and find out later
            raise InvalidRequest("The parts do not make one object: all but the last must have the size that was told.")

    async def drop_parts(self, key: str, upload_id: str) -> None:
        """AbortMultipartUpload"""
        with suppress(InvalidRequest):
            await self._ask("DELETE", key, {"uploadId": upload_id})

    async def _ask(
        self, method: str, key: str, query: Mapping[str, str], *, body: bytes = b"", content_type: str = ""
    ) -> str:
        """Raises BucketAway, InvalidRequest for an answer of 4xx."""
        self._client = self._client or httpx2.AsyncClient(timeout=ASK_S_MAX, trust_env=False)
        headers = {"content-type": content_type} if content_type else {}
        try:
            answer = await self._client.request(method, self._url(method, key, query), content=body, headers=headers)
        except httpx2.HTTPError as error:
            raise BucketAway(f"It does not answer: {type(error).__name__}.") from None
        if answer.status_code in (400, 404):
            raise InvalidRequest("There is no such upload, or its parts do not make one object.")
        if not answer.is_success or len(answer.content) > ANSWER_BYTES_MAX:
            raise BucketAway(f"It answers with status {answer.status_code}.")
        return answer.text


@contextmanager
def _faults() -> "Iterator[None]":
    """What obstore raises names hosts and keys: it is for operators, and stands in the log by BucketAway's cause."""
    try:
        yield
    except (BaseError, TimeoutError, ConnectionError) as error:
        raise away(error) from error


def _bare(etag: str | None) -> str:
    return (etag or "").strip('"')
