"""Answers that a later request may continue by id (`previous_response_id`): whose they are, and where they live.

All callers share the vendor's key, so the vendor would continue anybody's. Here an id is its owner's and its target's.
"""

import msgspec

from hypereal.gateway.routing import Way
from hypereal.kit.db import UNREACHABLE, Database
from hypereal.kit.errors import InvalidRequest, Overloaded
from hypereal.kit.ids import AccountId
from hypereal.ledger import find_answer
from hypereal.wire import Request

FIELD = "previous_response_id"
KEPT_MAX = 10_000
"""Ids of this process's latest answers: the usage log has them a moment later."""

_id = msgspec.json.Decoder(str | None)


class Continuations:
    """The answers of all processes, the latest of this one in memory."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept: dict[tuple[AccountId, str], str] = {}

    def keep(self, owner_id: AccountId, answer_id: str, target: str) -> None:
        """The owner was given ANSWER_ID by TARGET ('provider:model')."""
        if len(self._kept) >= KEPT_MAX:
            del self._kept[next(iter(self._kept))]
        self._kept[owner_id, answer_id] = target

    async def ways(self, owner_id: AccountId, request: Request, ways: tuple[Way, ...]) -> tuple[Way, ...]:
        """Those of WAYS that can continue what REQUEST refers to.

        Raises InvalidRequest where that is not the owner's, or its target serves no more; Overloaded where only the
        database knows and it is away.
        """
        answer_id = _previous(request)
        if answer_id is None:
            return ways
        target = self._kept.get((owner_id, answer_id))
        if target is None:
            try:
                target = await find_answer(self._database, owner_id, answer_id)
            except UNREACHABLE:
                raise Overloaded("Earlier responses cannot be looked up at the moment. Please try again.") from None
        kept = tuple(way for way in ways if way.target.name == target)
        if not kept:
            raise InvalidRequest(
                f"Previous response '{answer_id[:100]}' not found.", code="previous_response_not_found", param=FIELD
            )
        return kept


def _previous(request: Request) -> str | None:
    try:
        answer_id: str | None = _id.decode(request.fields[FIELD])
        return answer_id
    except msgspec.MsgspecError:
        raise InvalidRequest(f"'{FIELD}' must be a string.", param=FIELD) from None
