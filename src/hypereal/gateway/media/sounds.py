"""Recordings: how long they last, and the formats that speech is written in. Pure, and nothing but NumPy and PyAV.

Each format is read by its own reader, named here: the library's guess could take bytes of a caller's for a list of
places to read from.
"""

import io
from collections.abc import Iterator, Mapping

import av
import numpy as np
from numpy.typing import NDArray

READERS: Mapping[str, str] = {
    "audio/mpeg": "mp3",
    "audio/wav": "wav",
    "audio/flac": "flac",
    "audio/ogg": "ogg",
    "audio/opus": "ogg",
    "audio/aac": "aac",
    "audio/mp4": "mov",
    "video/mp4": "mov",
    "video/quicktime": "mov",
    "audio/webm": "matroska",
    "video/webm": "matroska",
}
"""What a recording may be."""
TYPES: Mapping[str, str] = {
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "pcm": "audio/pcm",
}
"""Format of speech -> content type."""
ENDINGS = {"opus": "ogg"}
PCM_HZ = 24_000
"""16 bits, one channel, as OpenAI's API has it."""
_WRITERS = {
    "mp3": ("mp3", "libmp3lame", "s16p", 24_000),
    "wav": ("wav", "pcm_s16le", "s16", 24_000),
    "opus": ("ogg", "libopus", "s16", 48_000),
    "aac": ("adts", "aac", "fltp", 24_000),
    "flac": ("flac", "flac", "s16", 24_000),
    "pcm": ("s16le", "pcm_s16le", "s16", PCM_HZ),
}
"""Format -> container, codec, samples, rate."""
PACKETS_MAX = 5_000_000


class BadRecording(Exception):
    """Bytes that are no recording that can be read."""


def seconds_of(body: bytes, content_type: str) -> float:
    """How long the recording lasts, by its packets and not by what its head says. Raises BadRecording."""
    if content_type == TYPES["pcm"]:
        return len(body) / 2 / PCM_HZ
    reader = READERS.get(content_type)
    if reader is None:
        raise BadRecording(f"it is {content_type or 'nothing that is known'}")
    try:
        with av.open(io.BytesIO(body), "r", format=reader) as container:
            if not container.streams.audio:
                raise BadRecording("there is no sound in it")
            seconds = _length(container, container.streams.audio[0])
    except (av.FFmpegError, ValueError, OSError):
        raise BadRecording("it cannot be read") from None
    if seconds <= 0:
        raise BadRecording("there is no sound in it")
    return seconds


def _length(container: av.container.InputContainer, stream: av.AudioStream) -> float:
    """The sum of all packets; gaps between them count too."""
    summed, end, start = 0, 0, None
    for number, packet in enumerate(container.demux(stream)):
        if number > PACKETS_MAX:
            raise BadRecording("it is too long")
        summed += packet.duration or 0
        if packet.pts is not None:
            start = packet.pts if start is None else min(start, packet.pts)
            end = max(end, packet.pts + (packet.duration or 0))
    return float(max(summed, end - (start or 0)) * (stream.time_base or 0))


def samples_of(body: bytes, content_type: str, rate: int) -> NDArray[np.float32]:
    """The recording as samples from -1 to 1 of one channel, RATE a second. Raises what the library raises."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=rate)
    with av.open(io.BytesIO(body), "r", format=READERS[content_type]) as source:
        pieces = [frame.to_ndarray().reshape(-1) for frame in _frames(source, resampler)]
    return (np.concatenate(pieces) if pieces else np.zeros(0, np.int16)).astype(np.float32) / 32768.0


def encoded(wav: bytes, form: str) -> bytes:
    """WAV, a recording of our own, in the format FORM, one of TYPES."""
    container_name, codec, samples, rate = _WRITERS[form]
    target = io.BytesIO()
    with (
        av.open(io.BytesIO(wav), "r", format="wav") as source,
        av.open(target, "w", format=container_name) as container,
    ):
        stream = container.add_stream(codec, rate=rate)
        assert isinstance(stream, av.AudioStream)
        stream.layout = "mono"
        stream.codec_context.format = samples
        resampler = av.AudioResampler(format=samples, layout="mono", rate=rate)
        for frame in _frames(source, resampler):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return target.getvalue()


def _frames(source: av.container.InputContainer, resampler: av.AudioResampler) -> Iterator[av.AudioFrame]:
    for frame in source.decode(source.streams.audio[0]):
        yield from resampler.resample(frame)
    yield from resampler.resample(None)
