import pytest

from hypereal.kit.errors import UpstreamFailed
from hypereal.wire.folding import openai_responses as folding


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b'data: {"type":"response.created","response":{"output":[]}}\n\n',
        b'data: {"type":"response.failed","response":{"error":{"code":"server_error","message":"m"}}}\n\n',
    ],
)
def test_a_stream_that_did_not_end_well_is_refused(broken: bytes) -> None:
    with pytest.raises(UpstreamFailed):
        folding.fold(broken)


def test_items_fill_an_empty_output_in_their_order() -> None:
    item = 'data: {{"type":"response.output_item.done","output_index":{0},"item":{{"id":"i{0}"}}}}\n\n'
    stream = (
        "".join(item.format(index) for index in (1, 0))
        + 'data: {"type":"response.completed","response":{"id":"r"}}\n\n'
    )
    assert folding.fold(stream.encode()) == b'{"id":"r","output":[{"id":"i0"},{"id":"i1"}]}'


def test_refusals_and_unknown_items_unfold_too() -> None:
    body = b'{"output":[{"type":"message","id":"m","content":[{"type":"refusal","refusal":"no"}]},{"type":"new"}]}'
    stream = folding.unfold(body)
    assert b'"response.refusal.delta","delta":"no"' in stream
    assert stream.count(b"event: response.output_item.done") == 2
    assert b"event: response.completed" in stream
