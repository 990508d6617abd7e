"""Answers that a later request may continue by id (`previous_response_id`): whose they are, and where they live.

A vendor keeps its own. All callers share the vendor's key, so it would continue anybody's: here an id is its owner's
and its target's. What bridges answered is kept by us, and can go on with any model.
"""

import asyncio
import re
from typing import TYPE_CHECKING

import msgspec

from hypereal.conversations import SIZE_BYTES_MAX, Conversation, Conversations
from hypereal.gateway.call import Call
from hypereal.gateway.routing import Way
from hypereal.kit.db import UNREACHABLE, Database
from hypereal.kit.dialects import Dialect
from hypereal.kit.errors import InvalidRequest, Overloaded
from hypereal.kit.ids import AccountId
from hypereal.ledger import find_answer
from hypereal.wire import Request, as_vendors, continued, conversation

if TYPE_CHECKING:
    from hypereal.gateway.bill import Bill

FIELD = "previous_response_id"
KEPT_MAX = 10_000
"""Ids of this process's latest answers: the usage log has them a moment later."""
LOOKS_S = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4)
"""Waits before each look: what another process has just answered is written behind its answer."""
MEBIBYTE = 1024 * 1024

_id = msgspec.json.Decoder(str | None)
_may_be_id = re.compile(r"[!-~]{1,1000}").fullmatch


class Continuations:
    """The answers of all processes, the latest of this one in memory."""

    def __init__(self, database: Database, conversations: Conversations) -> None:
        self._database = database
        self._conversations = conversations
        self._kept: dict[tuple[AccountId, str], str] = {}

    @property
    def dropped(self) -> int:
        """Conversations that should have been kept and were lost."""
        return self._conversations.dropped

    def keep(self, owner_id: AccountId, answer_id: str, target: str) -> None:
        """The owner was given ANSWER_ID by TARGET ('provider:model'), which keeps the conversation."""
        if len(self._kept) >= KEPT_MAX:
            del self._kept[next(iter(self._kept))]
        self._kept[owner_id, answer_id] = target

    def keep_bridged(self, call: Call, bill: "Bill") -> None:
        """A bridge has answered CALL; where its format lets one continue that, the conversation is kept here."""
        assert bill.request is not None and bill.model is not None
        found = conversation(bill.request, call.told)
        if found is not None:
            answer_id, items = found
            self._conversations.keep(
                Conversation(owner_id=bill.payer.owner_id, response_id=answer_id, model=bill.model.id, items=items)
            )

    async def resume(self, call: Call, bill: "Bill", ways: tuple[Way, ...]) -> tuple[Request, tuple[Way, ...]]:
        """The bill's request, which is then with all that it refers to; and those of WAYS that can continue it.

        Raises InvalidRequest where that is not the owner's, or nobody has it any more; Overloaded where only the
        database knows and it is away, or there is no room for the conversation.
        """
        request = bill.request
        assert request is not None
        answer_id = _previous(request)
        if answer_id is None:
            return request, ways
        found = await self._find(bill.payer.owner_id, answer_id)
        if isinstance(found, Conversation) and request.dialect is Dialect.OPENAI_RESPONSES:
            if found.items is None:
                raise _not_found(
                    answer_id, f" Its conversation is over {SIZE_BYTES_MAX // MEBIBYTE} MiB, and was not kept."
                )
            if not call.connection.hold_more(len(found.items)):
                raise Overloaded("Too many long conversations at the moment. Please try again.")
            is_all_bridged = all(way.bridge is not None for way in ways)
            bill.request = continued(request, found.items if is_all_bridged else as_vendors(found.items))
            return bill.request, ways
        kept = tuple(way for way in ways if way.target.name == found)
        if not kept:
            raise _not_found(answer_id)
        return request, kept

    async def _find(self, owner_id: AccountId, answer_id: str) -> Conversation | str | None:
        """What was kept here, or the target that keeps it; None where the owner was never given ANSWER_ID."""
        target = self._kept.get((owner_id, answer_id))
        if target is not None:
            return target
        if not _may_be_id(answer_id):
            return None
        try:
            for wait_s in LOOKS_S:
                await asyncio.sleep(wait_s)
                kept = await self._conversations.find(owner_id, answer_id)
                found = kept or await find_answer(self._database, owner_id, answer_id)
                if found is not None:
                    return found
        except UNREACHABLE:
            raise Overloaded("Earlier responses cannot be looked up at the moment. Please try again.") from None
        return None


def _previous(request: Request) -> str | None:
    try:
        answer_id: str | None = _id.decode(request.fields[FIELD])
        return answer_id
    except msgspec.MsgspecError:
        raise InvalidRequest(f"'{FIELD}' must be a string.", param=FIELD) from None


def _not_found(answer_id: str, why: str = "") -> InvalidRequest:
    message = f"Previous response '{answer_id[:100]}' not found.{why}"
    return InvalidRequest(message, code="previous_response_not_found", param=FIELD)
