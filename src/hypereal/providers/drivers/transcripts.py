"""Transcripts in vendors' answers."""

from typing import Any

from hypereal.providers.drivers import paths
from hypereal.providers.drivers.outcome import Finished, Output, Segment
from hypereal.providers.drivers.replies import facts

SEGMENTS_MAX = 100_000


def transcript(said: Any, segments: tuple[Segment, ...], duration_s: float | None) -> Finished | None:
    """What SAID holds as `text` was heard. None where there is none: silence has ''."""
    text = paths.first(said, "text")
    if not isinstance(text, str):
        return None
    language = paths.text(said, "language", "language_code") or None
    output = Output(text=text, segments=segments, language=language, content_type="text/plain")
    counted = {"duration_ms": duration_s, "tokens": paths.number(said, "usage.total_tokens")}
    return Finished(outputs=(output,), facts=facts(counted))


def read_segments(said: Any) -> tuple[Segment, ...]:
    """What SAID tells as `segments`, [{start, end, text}] in seconds; what is none of that is left out."""
    told = paths.first(said, "segments")
    found = []
    for one in told[:SEGMENTS_MAX] if isinstance(told, list) else []:
        start, end, text = paths.number(one, "start"), paths.number(one, "end"), paths.first(one, "text")
        if start is not None and end is not None and isinstance(text, str):
            speaker = paths.text(one, "speaker") or None
            found.append(Segment(start_s=start, end_s=end, text=text.strip(), speaker=speaker))
    return tuple(found)
