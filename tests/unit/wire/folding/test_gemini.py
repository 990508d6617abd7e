import json

import pytest

from hypereal.kit.errors import UpstreamFailed
from hypereal.wire.folding import gemini as folding


def fold(*chunks: dict[str, object]) -> dict[str, object]:
    return json.loads(folding.fold(b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks)))


def parts(*pieces: dict[str, object], index: int = 0) -> dict[str, object]:
    return {"candidates": [{"index": index, "content": {"parts": list(pieces)}}]}


def test_text_is_joined_but_thoughts_and_signatures_stay_apart() -> None:
    signed = {"text": "", "thoughtSignature": "s"}
    folded = fold(parts({"text": "a", "thought": True}), parts({"text": "b"}), parts({"text": "c"}, signed))
    assert folded["candidates"][0]["content"]["parts"] == [{"text": "a", "thought": True}, {"text": "bc"}, signed]


def test_candidates_are_kept_apart_and_in_order() -> None:
    folded = fold(parts({"text": "b"}, index=1), parts({"text": "a"}))
    assert [candidate["content"]["parts"][0]["text"] for candidate in folded["candidates"]] == ["a", "b"]


def test_a_blocked_prompt_folds_to_itself() -> None:
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}}
    assert fold(blocked) == blocked


def test_nothing_is_no_answer() -> None:
    with pytest.raises(UpstreamFailed):
        fold({"usageMetadata": {}})


def test_a_pretty_printed_answer_becomes_one_line() -> None:
    assert folding.unfold(b'{\n "candidates": [ {"a": 1.0} ]\n}') == b'data: {"candidates":[{"a":1.0}]}\n\n'
