"""What goes on the wire for every sample, as files, a vendor each; `HYPEREAL_TEST_GOLDEN=rewrite` writes them anew, to
be read before they are committed. Bytes of files are shortened."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.contract.drivers.conftest import Stage
from tests.contract.drivers.samples import IMAGE, LINK, SAMPLES, filmed, spoken
from tests.support.media_vendors import MP3, PNG

from hypereal.providers.drivers import DRIVERS, Kind, Work
from hypereal.providers.drivers.encoding import base64_of

FOLDER = Path(__file__).parent / "requests"
VENDORS = sorted({sample.vendor for sample in SAMPLES.values()})
SHORT = ((base64_of(PNG), "PNG_IN_BASE64"), (base64_of(MP3), "MP3_IN_BASE64"))


@pytest.mark.parametrize("vendor", VENDORS)
def test_requests_are_those_of_the_file(vendor: str, stage: Callable[[str], Stage]) -> None:
    made = {name: shown(stage(name)) for name, sample in SAMPLES.items() if sample.vendor == vendor}
    path = FOLDER / f"{vendor}.json"
    text = json.dumps(made, indent=2, ensure_ascii=False) + "\n"
    if os.environ.get("HYPEREAL_TEST_GOLDEN") == "rewrite":
        FOLDER.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    assert text == path.read_text("utf-8")


def shown(stage: Stage) -> dict[str, Any]:
    request = stage.driver.submit(stage.work)
    signed = stage.driver.sign(stage.provider, request, at_unix_s=0)
    return {
        "line": f"{signed.method} {signed.url.removeprefix(stage.vendor.url)}",
        "headers": dict(sorted(signed.headers.items())),
        "body": body_of(request.headers["content-type"], request.body),
    }


def body_of(content_type: str, body: bytes) -> Any:
    if content_type == "application/msgpack":
        said = msgspec.msgpack.decode(body)
        assert said["references"][0].pop("audio") == MP3
        return said
    if content_type.startswith("multipart/"):
        text = body.replace(PNG, b"PNG").replace(MP3, b"MP3").decode()
        return re.sub(r"hypereal-[0-9a-f]{32}", "BOUNDARY", text).split("\r\n")
    text = body.decode()
    for long, short in SHORT:
        text = text.replace(long, short)
    return json.loads(text)


@pytest.mark.parametrize(
    ("vendor", "work", "words"),
    [
        ("ark", filmed("seedance", LINK, LINK, last_image=LINK), "last_image_url"),
        ("vidu", filmed("viduq3-pro", last_image=LINK), "last_image_url"),
        ("dashscope", filmed("wan2.6-i2v-flash"), "image_url"),
        ("dashscope", filmed("wan2.6-t2v", aspect_ratio="1:1"), "aspect_ratio"),
        ("dashscope", filmed("wan2.6-t2v", LINK, last_image=LINK), "last_image_url"),
        ("elevenlabs", msgspec.structs.replace(spoken("eleven_v3"), voice=None), "voice"),
        ("elevenlabs", msgspec.structs.replace(spoken("eleven_v3"), format="flac"), "response_format"),
        ("fish", Work(kind=Kind.CLONE, model="s2-pro", text="x"), "audio"),
        ("fish", Work(kind=Kind.TRANSCRIPT, model="s2-pro"), "audio"),
        ("openai", Work(kind=Kind.TRANSCRIPT, model="whisper-1"), "audio"),
        ("elevenlabs", Work(kind=Kind.TRANSCRIPT, model="scribe_v2"), "audio"),
        ("bfl", filmed("flux-2-pro", IMAGE), "cannot do video"),
    ],
)
def test_what_a_vendor_cannot_be_asked_for_is_refused_before_it_is_asked(vendor: str, work: Work, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        DRIVERS[vendor].submit(work)


@pytest.mark.parametrize("vendor", VENDORS)
def test_an_id_leads_to_no_other_place(vendor: str) -> None:
    for sample in SAMPLES.values():
        if sample.vendor == vendor:
            work = msgspec.structs.replace(sample.work, model=f"{sample.work.model}/../../x?y#z", voice="../v?x")
            request = DRIVERS[vendor].submit(work)
            assert "/../" not in request.url
            assert "#" not in request.url
            assert "?y" not in request.url
