import pytest

from hypereal.kit.dialects import Dialect
from hypereal.kit.errors import InvalidRequest
from hypereal.wire import read_by_shape
from hypereal.wire.gemini import Gemini
from hypereal.wire.profiles import PROFILES

GEMINI = Gemini()
PLAIN = PROFILES["google"]


def test_the_paths_model_and_stream_win_and_the_body_keeps_none() -> None:
    request = GEMINI.read(b'{"model":"x","stream":false,"contents":[],"a":1}', model="gemini-3", stream=True)
    assert (request.model, request.stream) == ("gemini-3", True)
    assert GEMINI.write(request, "up", PLAIN) == b'{"contents":[],"a":1}'


def test_the_prefix_of_a_model_is_taken_off() -> None:
    assert GEMINI.read(b'{"model":"models/gemini-3","contents":[]}').model == "gemini-3"


@pytest.mark.parametrize(
    "config",
    [
        b'"generationConfig":{"maxOutputTokens":9,"candidateCount":2,"x":1.0}',
        b'"generation_config":{"max_output_tokens":9,"candidate_count":2}',
    ],
)
def test_both_spellings_of_the_limits_are_read(config: bytes) -> None:
    request = GEMINI.read(b'{"contents":[],' + config + b"}", model="m")
    assert (request.output_tokens_max, request.choices) == (9, 2)


@pytest.mark.parametrize(
    "config", [b"1", b'{"maxOutputTokens":0}', b'{"candidateCount":-1}', b'{"maxOutputTokens":"9"}']
)
def test_limits_of_a_wrong_type_are_refused(config: bytes) -> None:
    with pytest.raises(InvalidRequest):
        GEMINI.read(b'{"contents":[],"generationConfig":' + config + b"}", model="m")


def test_count_tokens_in_its_other_shape_is_read() -> None:
    assert GEMINI.read(b'{"generateContentRequest":{"contents":[]}}', model="m").model == "m"


@pytest.mark.parametrize(
    ("body", "dialect"),
    [
        (b'{"model":"m","messages":[]}', Dialect.OPENAI_CHAT),
        (b'{"model":"m","contents":[]}', Dialect.GEMINI),
        (b'{"model":"m","contents":[],"messages":[]}', Dialect.GEMINI),
    ],
)
def test_a_body_without_a_path_is_read_by_its_shape(body: bytes, dialect: Dialect) -> None:
    request = read_by_shape(body, stream=True)
    assert (request.dialect, request.stream) == (dialect, True)


def test_the_counts_of_a_cut_stream_are_marked() -> None:
    cut = b'data: {"candidates":[{}],"usageMetadata":{"promptTokenCount":5,"totalTokenCount":5}}\n\n'
    usage = GEMINI.usage_of_stream(cut, cut, PLAIN)
    assert usage is not None
    assert usage.is_estimated


def test_a_blocked_prompt_is_a_whole_stream() -> None:
    assert GEMINI.is_complete(b'data: {"promptFeedback":{"blockReason":"SAFETY"}}\n\n')
    assert not GEMINI.is_complete(b'data: {"candidates":[{"content":{"parts":[{"text":"finishReason"}]}}]}\n\n')
