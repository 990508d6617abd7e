"""Pictures and video that are drawn here: a small random network of the prompt's makes a colour of each place and time.

Pure, and nothing but NumPy and PyAV. The same words and seed give the same picture. Drawn small and made large, so that
neither time nor memory grow with what is asked for.
"""

import hashlib
import io
import itertools
import tempfile
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""Rows, columns, RGB."""

DRAWN_MAX = 640
"""The longer side of what is really drawn of a picture; of a video, half."""
SIDE_MAX = 6400
REFERENCE_PIXELS_MAX = 40_000_000
FRAMES_PER_S = 24
DRAWN_EVERY = 6
"""Frames; those between are mixed of two."""
WIDTH = 20
LAYERS = 3


class BadPicture(Exception):
    """Bytes that are no picture that can be read, or one that is too large."""


def draw_png(words: str, seed: int, size: tuple[int, int], references: Sequence[bytes] = ()) -> bytes:
    """A PNG of SIZE (width, height). Raises BadPicture for a reference that cannot be read."""
    width, height = (min(side, SIDE_MAX) for side in size)
    return _png(_scaled(_Drawing(words, seed, (width, height), references, DRAWN_MAX)(0.0), width, height))


def draw_mp4(words: str, seed: int, size: tuple[int, int], seconds: int, references: Sequence[bytes] = ()) -> bytes:
    """An MP4 (H.264) of SIZE that lasts SECONDS. Raises BadPicture."""
    width, height = (min(side, SIDE_MAX) // 2 * 2 for side in size)
    frame_at = _Drawing(words, seed, (width, height), references, DRAWN_MAX // 2)
    with tempfile.TemporaryDirectory() as folder:  # its index goes to the front in a second pass over the file
        file = Path(folder) / "made.mp4"
        _encode(file, frame_at, (width, height), seconds)
        return file.read_bytes()


def _encode(file: Path, frame_at: Callable[[float], Pixels], size: tuple[int, int], seconds: int) -> None:
    width, height = size
    with av.open(str(file), "w", format="mp4", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=FRAMES_PER_S, options={"preset": "ultrafast", "crf": "28"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base = Fraction(1, FRAMES_PER_S)
        stream.codec_context.thread_count = 1
        last, coming = frame_at(0.0), frame_at(DRAWN_EVERY / FRAMES_PER_S)
        for number in range(seconds * FRAMES_PER_S):
            step = number % DRAWN_EVERY
            if number and not step:
                last, coming = coming, frame_at((number + DRAWN_EVERY) / FRAMES_PER_S)
            mixed = (last * np.float32(1 - step / DRAWN_EVERY) + coming * np.float32(step / DRAWN_EVERY)).astype(
                np.uint8
            )
            small = av.VideoFrame.from_ndarray(mixed, format="rgb24")
            frame = small.reformat(width=width, height=height, format="yuv420p", interpolation="BILINEAR")
            frame.pts, frame.time_base = number, Fraction(1, FRAMES_PER_S)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


class _Drawing:
    """Gives the picture at a time, in seconds."""

    def __init__(
        self, words: str, seed: int, size: tuple[int, int], references: Sequence[bytes], side_max: int
    ) -> None:
        width, height = size
        factor = min(1.0, side_max / max(width, height))
        self._width, self._height = (max(16, int(side * factor) // 2 * 2) for side in (width, height))
        digest = hashlib.sha256(f"{seed}\n{words}".encode("utf-8", "replace")).digest()
        random = np.random.default_rng(int.from_bytes(digest[:8], "big"))
        sides = [6, *[WIDTH] * LAYERS, 3]
        self._layers = [
            random.normal(0.0, 1.4 / np.sqrt(rows) * 2.2, (rows, columns)).astype(np.float32)
            for rows, columns in itertools.pairwise(sides)
        ]
        self._speed = float(random.uniform(0.25, 0.6))
        self._given = [self._read(one) for one in references]

    def __call__(self, at_s: float) -> Pixels:
        x, y = np.meshgrid(
            np.linspace(-1.5, 1.5, self._width, dtype=np.float32),
            np.linspace(-1.5, 1.5, self._height, dtype=np.float32) * (self._height / self._width),
        )
        turn = np.float32(at_s * self._speed)
        places = np.stack(
            [x, y, np.hypot(x, y), np.ones_like(x), np.full_like(x, np.sin(turn)), np.full_like(x, np.cos(turn))], -1
        )
        values = places.reshape(-1, 6)
        for layer in self._layers[:-1]:
            values = np.tanh(values @ layer)
        colours = 0.5 + 0.5 * np.sin(2.0 * (values @ self._layers[-1]))
        picture = colours.reshape(self._height, self._width, 3) * 255.0
        return self._blended(picture).astype(np.uint8)

    def _blended(self, picture: NDArray[np.float32]) -> NDArray[np.float32]:
        """What was given shows through, each where the drawing is bright in its own way."""
        for number, given in enumerate(self._given):
            weight = 0.35 + 0.4 * picture[:, :, number % 3 : number % 3 + 1] / 255.0
            picture = picture * (1 - weight) + given * weight
        return picture

    def _read(self, body: bytes) -> NDArray[np.float32]:
        return _scaled(read_picture(body), self._width, self._height).astype(np.float32)


def read_picture(body: bytes) -> Pixels:
    """The pixels of a PNG, JPEG, WebP or GIF. Raises BadPicture."""
    try:
        with av.open(io.BytesIO(body), "r") as container:
            stream = container.streams.video[0]
            if stream.width * stream.height > REFERENCE_PIXELS_MAX:
                raise BadPicture(f"a reference image has over {REFERENCE_PIXELS_MAX} pixels")
            frame = next(container.decode(stream))
            return np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
    except (av.FFmpegError, StopIteration, IndexError, ValueError, OSError):
        raise BadPicture("a reference image cannot be read") from None


def _scaled(picture: Pixels, width: int, height: int) -> Pixels:
    if picture.shape[:2] == (height, width):
        return picture
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    return np.asarray(frame.reformat(width=width, height=height, format="rgb24").to_ndarray(), np.uint8)


def _png(picture: Pixels) -> bytes:
    codec = av.CodecContext.create("png", "w")
    codec.width, codec.height, codec.pix_fmt = picture.shape[1], picture.shape[0], "rgb24"
    codec.time_base = Fraction(1, 1)
    packets = codec.encode(av.VideoFrame.from_ndarray(picture, format="rgb24"))
    return b"".join(bytes(packet) for packet in [*packets, *codec.encode(None)])
