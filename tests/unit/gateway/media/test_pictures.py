"""What is drawn here: real files of the size that was asked for, the same for the same words."""

import io

import av
import pytest

from hypereal.gateway.media.drawing import size_of
from hypereal.gateway.media.pictures import BadPicture, draw_mp4, draw_png, read_picture
from hypereal.providers.drivers import Kind, Work


def test_the_same_words_and_seed_give_the_same_picture():
    first = draw_png("a fox", 1, (96, 64))
    assert first == draw_png("a fox", 1, (96, 64))
    assert first != draw_png("a fox", 2, (96, 64))
    assert first != draw_png("a hen", 1, (96, 64))
    assert read_picture(first).shape == (64, 96, 3)


def test_what_is_given_shows_through():
    red = draw_png("red", 1, (64, 64))
    assert draw_png("a fox", 1, (64, 64), [red]) != draw_png("a fox", 1, (64, 64))
    with pytest.raises(BadPicture):
        draw_png("a fox", 1, (64, 64), [b"\x89PNG\r\n\x1a\n and no more"])


def test_a_video_lasts_as_long_as_was_asked():
    with av.open(io.BytesIO(draw_mp4("a fox", 1, (128, 96), 2))) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.codec_context.name) == (128, 96, "h264")
        assert sum(1 for _ in container.decode(video=0)) == 48


@pytest.mark.parametrize(
    ("kind", "asked", "size"),
    [
        (Kind.IMAGE, {"size": (1536, 1024)}, (1536, 1024)),
        (Kind.IMAGE, {}, (1024, 1024)),
        (Kind.IMAGE, {"aspect_ratio": "16:9", "resolution": "2K"}, (2730, 1536)),
        (Kind.VIDEO, {}, (1280, 720)),
        (Kind.VIDEO, {"aspect_ratio": "9:16", "resolution": "1080p"}, (1080, 1920)),
        (Kind.VIDEO, {"aspect_ratio": "adaptive", "resolution": "480p"}, (854, 480)),
    ],
)
def test_any_size_and_ratio_comes_to_pixels(kind, asked, size):
    assert size_of(Work(kind=kind, model="m", **asked)) == size
