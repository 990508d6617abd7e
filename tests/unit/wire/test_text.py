import pytest

from hypereal.wire import text


@pytest.mark.parametrize(
    ("payload", "roots", "size"),
    [
        (b'{"id":"long id","choices":[{"delta":{"role":"assistant","content":"caf\xc3\xa9"}}]}', ["choices"], 5),
        (
            b'{"choices":[{"delta":{"tool_calls":[{"id":"x","function":{"name":"ab","arguments":"{}"}}]}}]}',
            ["choices"],
            4,
        ),
        (b'{"type":"content_block_delta","delta":{"type":"text_delta","text":"abc"}}', ["delta"], 3),
        (b'{"delta":{"type":"signature_delta","signature":"abcdef"}}', ["delta"], 0),
        (b'{"type":"response.output_text.delta","delta":"abc","item_id":"m"}', ["delta"], 3),
        (b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{"a":1}}}]}}]}', ["candidates"], 8),
        (b"[DONE]", ["choices"], 0),
        (b"\xff", ["choices"], 0),
    ],
)
def test_only_generated_text_counts(payload: bytes, roots: list[str], size: int) -> None:
    assert text.text_bytes(payload, roots) == size


def test_an_estimate_is_never_0() -> None:
    assert [text.tokens_for(size) for size in (0, 1, 4, 5)] == [1, 1, 1, 2]
