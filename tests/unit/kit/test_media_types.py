"""What bytes are taken for, whatever their sender calls them."""

import pytest

from hypereal.kit.media_types import UNKNOWN, essence, settle, sniff

HEADS = {
    "image/png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "image/jpeg": b"\xff\xd8\xff\xe0\0\x10JFIF",
    "image/gif": b"GIF89a\x01\0",
    "image/webp": b"RIFF\x24\0\0\0WEBPVP8 ",
    "image/bmp": b"BM\x36\0\0\0\0\0\0\0\x36",
    "image/avif": b"\0\0\0\x1cftypavif",
    "video/mp4": b"\0\0\0\x18ftypisom",
    "video/quicktime": b"\0\0\0\x14ftypqt  ",
    "video/webm": b"\x1aE\xdf\xa3\x01",
    "audio/wav": b"RIFF\x24\0\0\0WAVEfmt ",
    "audio/mpeg": b"ID3\x04\0",
    "audio/aac": b"\xff\xf1P\x80",
    "audio/ogg": b"OggS\0\x02",
    "audio/flac": b"fLaC\0",
    "application/pdf": b"%PDF-1.7",
    "application/zip": b"PK\x03\x04\x14",
    "application/gzip": b"\x1f\x8b\x08\0",
    "text/html": b"\n <!DOCTYPE HTML><p>",
    "image/svg+xml": b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'>",
    "text/xml": b"\xef\xbb\xbf<?xml version='1.0'?><a/>",
}


@pytest.mark.parametrize("kind", HEADS)
def test_each_format_is_known_by_its_beginning(kind: str):
    assert sniff(HEADS[kind]) == kind
    assert settle("", HEADS[kind]) == kind
    assert settle("text/plain", HEADS[kind]) == kind
    assert settle("image/png", HEADS[kind]) == kind, "what it is called does not matter"


@pytest.mark.parametrize("text", [b"", b"x", b"BMW builds cars", b"RIFFs of the 80s", b"{}", b"a < b", b"\xff\xfe"])
def test_what_is_none_of_them_is_not_taken_for_one(text: bytes):
    assert sniff(text) is None
    assert settle("application/json", text) == "application/json"
    assert settle("image/png", text) == UNKNOWN


@pytest.mark.parametrize(
    "script", [b"<script>", b"\t<IFRAME src=x>", b"<html>", b"<!-- x --><script>", b"<svg onload=x>"]
)
def test_what_a_browser_would_run_is_never_called_otherwise(script: bytes):
    assert settle("image/png", script) in ("text/html", "image/svg+xml")
    assert settle("text/plain", script) in ("text/html", "image/svg+xml")


def test_a_container_keeps_the_name_of_what_it_holds():
    assert settle("audio/mp4", HEADS["video/mp4"]) == "audio/mp4"
    assert settle("audio/webm", HEADS["video/webm"]) == "audio/webm"
    assert settle("audio/x-m4a", HEADS["video/mp4"]) == "audio/mp4"
    assert settle("image/png", HEADS["video/mp4"]) == "video/mp4"


@pytest.mark.parametrize("declared", ["", "x", "a/b/c", "a b/c", "text/html\r\nx: y", "é/x", "a/" + "b" * 200])
def test_what_is_no_type_is_none(declared: str):
    assert essence(declared) == ""
    assert settle(declared, b"?") == UNKNOWN


def test_parameters_and_old_names_fall_away():
    assert essence("Image/JPG; charset=x") == "image/jpeg"
    assert essence("audio/x-wav") == "audio/wav"
