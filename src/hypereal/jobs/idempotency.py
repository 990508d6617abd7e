"""Contract 1.7: a request that names an `Idempotency-Key` is done once, however often it is sent.

The key, the work and its answer are one transaction: of requests that are sent at once the others wait for the first,
and where that fails the next one does the work.
"""

import hashlib
from collections.abc import Awaitable, Callable

import msgspec

from hypereal.jobs import store
from hypereal.kit.db import Connection, Database
from hypereal.kit.errors import Conflict, InvalidRequest
from hypereal.kit.ids import AccountId

KEY_LENGTH_MAX = 255


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller is told."""

    status: int
    body: bytes


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request that names a key."""

    owner_id: AccountId
    key: str
    route: str
    """'POST /v1/videos/generate': a key is good for one route."""
    body: bytes


async def once(database: Database, asked: Asked, work: Callable[[Connection], Awaitable[Answer]]) -> Answer:
    """What WORK gives for the first request of this key; the same again for the others, without WORK.

    WORK runs in the transaction that takes the key, so it must not wait for the network. Raises Conflict where the key
    was used for another request, InvalidRequest for a key of no use, and what WORK raises: then the key is free again.
    """
    if not 1 <= len(asked.key) <= KEY_LENGTH_MAX or not asked.key.isprintable():
        raise InvalidRequest(
            f"An Idempotency-Key has 1 to {KEY_LENGTH_MAX} printable characters.", param="Idempotency-Key"
        )
    request_hash = hashlib.sha256(asked.route.encode() + b"\n" + asked.body).digest()
    async with database.transaction() as connection:
        first = await store.take_key(connection, asked.owner_id, asked.key, request_hash)
        if first is None:
            answer = await work(connection)
            await store.keep_answer(connection, asked.owner_id, asked.key, answer.status, answer.body)
            return answer
    if first["request_hash"] != request_hash:
        raise Conflict("This Idempotency-Key was used with another request.", param="Idempotency-Key")
    return Answer(status=first["status"], body=first["answer"])
