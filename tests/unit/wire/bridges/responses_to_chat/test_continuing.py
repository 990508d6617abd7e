import json
from typing import Any

import msgspec
import pytest
from tests.support import bridging

from hypereal.kit.dialects import Dialect
from hypereal.wire import DIALECTS, continued

SAID = {"type": "message", "role": "user", "content": "again"}


def joined(earlier: list[Any], **members: Any) -> Any:
    request = bridging.read(Dialect.OPENAI_RESPONSES, {"previous_response_id": "resp_1", **members})
    raws = [msgspec.Raw(json.dumps(item).encode()) for item in earlier]
    return continued(request, raws)


@pytest.mark.parametrize(("own", "items"), [("again", [SAID]), ([SAID], [SAID])])
def test_earlier_items_stand_before_the_requests_own(own: Any, items: list[Any]) -> None:
    earlier = [{"type": "message", "role": "user", "content": "hi"}, {"role": "assistant", "content": "Hello."}]
    sent = DIALECTS[Dialect.OPENAI_RESPONSES].write(joined(earlier, input=own), "up", bridging.TAKES_ALL)
    assert json.loads(sent) == {"model": "up", "input": [*earlier, *items]}


def test_a_request_without_input_is_the_earlier_items() -> None:
    assert json.loads(bytes(joined([SAID]).fields["input"])) == [SAID]


def test_the_size_grows_by_what_was_joined() -> None:
    alone, more = joined([], input="again"), joined([SAID], input="again")
    assert more.size_bytes == alone.size_bytes + len(json.dumps(SAID))


def test_earlier_items_keep_their_bytes() -> None:
    raw = msgspec.Raw(b'{"type":"reasoning", "n":1.0,"big":123456789012345678901234567890}')
    request = bridging.read(Dialect.OPENAI_RESPONSES, {"input": "again"})
    assert bytes(raw) in bytes(continued(request, [raw]).fields["input"])
