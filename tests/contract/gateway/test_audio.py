"""Speech and transcripts over scripted vendors that fail: who is asked, with what, what is paid. The books agree."""

import base64
import io
import json
import wave
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from tests.support.background import Background
from tests.support.ledger import micro
from tests.support.media import Studio, studio
from tests.support.media_vendors import MP3, MediaVendor
from tests.support.media_vendors.wires import fish as fish_wire

from hypereal.catalog import Kind
from hypereal.gateway.media import ordering, sounds
from hypereal.gateway.media.asking_sound import read_sound_wish
from hypereal.gateway.media.job import MediaJob, Origin, State
from hypereal.gateway.media.speaking import SpokenHere
from hypereal.gateway.media.transcripts import Transcript
from hypereal.kit.access import Caller
from hypereal.kit.db import Database
from hypereal.kit.errors import InsufficientCredits, InvalidRequest
from hypereal.kit.ids import new_request_id
from hypereal.ledger import audit, balance

Vendors = Callable[..., list[MediaVendor]]


@pytest.fixture
def vendors(background: Background, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vendors]:
    """Starts vendors, whose addresses and keys are in the environment from then on."""
    started: list[MediaVendor] = []

    def start(*names: str) -> list[MediaVendor]:
        for name in names:
            vendor = MediaVendor(background, name)
            started.append(vendor)
            for variable, value in vendor.environ.items():
                monkeypatch.setenv(variable, value)
        return started[-len(names) :]

    yield start
    for vendor in started:
        vendor.close()


@pytest_asyncio.fixture
async def open_studio(database: Database, tmp_path: Path) -> AsyncIterator[Callable[[], object]]:
    """A studio of the vendors that were started; after the test all sums agree."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Studio]:
        async with studio(database, tmp_path) as one:
            yield one
        assert await audit(database) == []

    yield opened


def silence(seconds: float) -> bytes:
    """A WAV."""
    target = io.BytesIO()
    with wave.open(target, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(1)
        written.setframerate(100)
        written.writeframes(bytes([128]) * round(seconds * 100))
    return target.getvalue()


def packed(body: bytes) -> str:
    return "data:audio/wav;base64," + base64.b64encode(body).decode()


async def begin(here: Studio, caller: Caller, **body: Any) -> MediaJob:
    """The job that a request with BODY comes to, through the same checks."""
    wish = read_sound_wish(json.dumps(body).encode())
    ways = here.conductor.studio.ways
    if wish.audio is not None:
        audio, audio_s = await ways.materials.listen(wish.audio)
        wish = msgspec.structs.replace(wish, audio=audio, audio_s=audio_s)
    found = ordering.find(ways, Kind.AUDIO, caller, wish)
    origin = Origin(request_id=new_request_id(), endpoint="audio/generations")
    return await here.conductor.begin(caller, ordering.asked_of(found, wish, origin, None))


async def stored(here: Studio, job: MediaJob) -> bytes:
    storage = here.parts.storage
    found = await storage.find(job.owner_id, job.outputs[0].object_id)
    return b"".join([piece async for piece in storage.read(found)])


async def test_each_vendor_is_asked_for_the_voice_by_its_own_id(vendors, open_studio, database):
    fish, elevenlabs = vendors("fish", "elevenlabs")
    async with open_studio() as here:
        caller = await here.caller(100)
        job = await here.ended(await begin(here, caller, model="audio-tts", text="Hello.", voice_id="en_male_calm"))
        assert (job.state, job.cost, job.target_name) == (State.COMPLETED, micro(2), "fish:s2.1-pro")
        assert fish.requests[0].json["reference_id"] == "802e3bc2b27e49c2995d23ef70e6ac89"
        assert await stored(here, job) == MP3
        assert job.outputs[0].filename.endswith(".mp3")
        other = await here.ended(await begin(here, caller, model="audio-tts", text="Hello.", voice_id="en_male_deep"))
        assert other.target_name.startswith("elevenlabs:"), "fish does not have that voice"
        assert "/nPczCjzI2devNBz1zQrb/" in elevenlabs.requests[0].path
        assert (await balance(database, caller.owner_id)).free == micro(96)


async def test_a_fault_of_the_vendors_goes_to_the_next_target(vendors, open_studio, database):
    fish, openai = vendors("fish", "openai")
    async with open_studio() as here:
        caller = await here.caller(100)
        fish.break_next("submit", "vendor", "vendor")
        job = await here.ended(await begin(here, caller, model="audio-tts", text="Hello."))
        assert (job.state, job.target_name) == (State.COMPLETED, "openai:gpt-4o-mini-tts")
        assert openai.requests[0].json["voice"] == "onyx"
        openai.break_next("submit", "caller")  # fish rests now
        job = await here.ended(await begin(here, caller, model="audio-tts", text="Hello."))
        assert (job.state, job.cost, job.error.status) == (State.FAILED, 0, 400)
        assert (await balance(database, caller.owner_id)).free == micro(98)


async def test_a_format_that_a_vendor_lacks_goes_to_one_that_has_it(vendors, open_studio):
    fish, openai = vendors("fish", "openai")
    async with open_studio() as here:
        caller = await here.caller(100)
        job = await here.ended(await begin(here, caller, model="audio-tts", text="Hello.", format="flac"))
        assert (job.target_name, fish.requests) == ("openai:gpt-4o-mini-tts", [])
        assert openai.requests[0].json["response_format"] == "flac"


@pytest.mark.parametrize(("seconds", "credits"), [(500, 2), (700, 4), (9000, 4)])
async def test_speech_is_held_by_its_text_and_paid_by_how_long_it_became(
    vendors, open_studio, database, monkeypatch, seconds, credits
):
    vendors("fish")
    monkeypatch.setattr(fish_wire, "MP3", sounds.encoded(silence(seconds), "mp3"))
    async with open_studio() as here:
        caller = await here.caller(100)
        job = await begin(here, caller, model="audio-tts", text="word " * 1900)
        assert job.held == micro(4), "9,500 bytes may take twenty minutes"
        job = await here.ended(job)
        assert job.cost == micro(credits), "at most what was held"
        assert (await balance(database, caller.owner_id)).free == micro(100 - credits)


@pytest.mark.parametrize(("seconds", "credits"), [(600, 1), (600.5, 2), (1201, 3)])
async def test_a_recording_is_paid_by_each_ten_minutes_begun(vendors, open_studio, seconds, credits):
    [fish] = vendors("fish")
    async with open_studio() as here:
        caller = await here.caller(100)
        job = await begin(here, caller, model="audio-asr", audio=packed(silence(seconds)))
        assert job.held == micro(credits)
        job = await here.ended(job)
        assert (job.state, job.cost) == (State.COMPLETED, micro(credits))
        heard = msgspec.json.decode(await stored(here, job), type=Transcript)
        assert (heard.text, heard.duration, len(heard.segments)) == ("Hello there. Bye.", 2.5, 2)
        assert b"RIFF" in fish.requests[0].body


async def test_transcripts_fall_over_too(vendors, open_studio):
    [fish, _] = vendors("fish", "openai")
    async with open_studio() as here:
        fish.break_next("submit", "rate", "rate", "rate")
        job = await here.ended(await begin(here, await here.caller(9), model="whisper-1", audio=packed(silence(1))))
        assert job.target_name == "openai:whisper-1"
        heard = msgspec.json.decode(await stored(here, job), type=Transcript)
        assert (heard.language, heard.segments[1].text) == ("english", "Bye.")


async def test_a_clone_is_made_of_the_recording(vendors, open_studio, database):
    [fish] = vendors("fish")
    async with open_studio() as here:
        caller = await here.caller(100)
        with pytest.raises(InvalidRequest, match="needs 10 s"):
            await begin(here, caller, model="audio-clone", text="Hello.", audio=packed(silence(9)))
        assert (await balance(database, caller.owner_id)).free == micro(100)
        voice = silence(11)
        job = await here.ended(await begin(here, caller, model="audio-clone", text="Hello.", audio=packed(voice)))
        assert (job.state, job.cost) == (State.COMPLETED, micro(3))
        body = msgspec.msgpack.decode(fish.requests[0].body)
        assert body["references"][0]["audio"] == voice


async def test_who_cannot_pay_for_the_whole_recording_is_refused(vendors, open_studio):
    [fish] = vendors("fish")
    async with open_studio() as here:
        caller = await here.caller(2)
        with pytest.raises(InsufficientCredits):
            await begin(here, caller, model="audio-asr", audio=packed(silence(1201)))
        assert fish.requests == []


@pytest.mark.parametrize(
    "body", [b"#EXTM3U\nhttp://127.0.0.1/", b"ID3\x04\0\0\0\0\0\0#EXTM3U\nx", b"RIFF\0\0\0\0WAVE", b""]
)
async def test_what_is_no_recording_is_refused(open_studio, body):
    async with open_studio() as here:
        with pytest.raises(InvalidRequest, match="audio: "):
            await begin(here, await here.caller(9), model="audio-asr", audio=packed(body))


async def test_without_the_extra_the_answer_says_what_to_install(open_studio, database, monkeypatch):
    monkeypatch.setattr(SpokenHere, "needs", {kind: ("no_such_package",) for kind in SpokenHere.needs})
    async with open_studio() as here:
        caller = await here.caller(9)
        for body in ({"model": "audio-tts", "text": "Hello."}, {"model": "audio-asr", "audio": packed(silence(1))}):
            with pytest.raises(InvalidRequest, match=r"pip install 'hypereal\[speech\]'"):
                await begin(here, caller, **body)
        assert (await balance(database, caller.owner_id)).free == micro(9)
