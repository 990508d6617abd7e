"""Bodies of strangers, packed and slow."""

import gzip
import zlib

import pytest

from hypereal.kit.errors import UnusableUrl
from hypereal.kit.outbound import bodies
from hypereal.kit.outbound.bodies import PIECE_BYTES_MAX, Pace, Unpacker

TEXT = b"some text, " * 50_000


def unpacked(encoding: str, packed: bytes, step: int) -> list[bytes]:
    unpacker = Unpacker(encoding)
    pieces = [piece for at in range(0, len(packed), step) for piece in unpacker.unpack(packed[at : at + step])]
    unpacker.end()
    return pieces


@pytest.mark.parametrize(("encoding", "packed"), [("gzip", gzip.compress(TEXT)), ("deflate", zlib.compress(TEXT))])
@pytest.mark.parametrize("step", [1, 7, 4096, 10**9])
def test_what_was_packed_comes_out_whole_in_small_pieces(encoding: str, packed: bytes, step: int):
    pieces = unpacked(encoding, packed, step)
    assert b"".join(pieces) == TEXT
    assert max(map(len, pieces)) <= PIECE_BYTES_MAX


@pytest.mark.parametrize("packed", [b"no gzip", gzip.compress(TEXT)[:-20], b""])
def test_what_is_broken_is_refused(packed: bytes):
    with pytest.raises(UnusableUrl):
        unpacked("gzip", packed, 10**9)


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "compress"])
def test_an_encoding_that_nobody_asked_for_is_refused(encoding: str):
    with pytest.raises(UnusableUrl):
        Unpacker(encoding)


def test_a_body_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch):
    now_s = [1000.0]
    monkeypatch.setattr(bodies, "monotonic", lambda: now_s[0])
    pace = Pace()

    def comes(size_bytes: int, for_s: int) -> None:
        for _ in range(for_s):
            now_s[0] += 1.0
            pace.came(size_bytes)

    comes(1100, for_s=100)
    with pytest.raises(UnusableUrl, match="too slowly") as refused:
        comes(900, for_s=40)
    assert refused.value.is_temporary
