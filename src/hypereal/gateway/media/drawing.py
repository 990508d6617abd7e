"""The local target: what has no vendor's key is drawn on this machine, one thing at a time, at a low priority."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import ClassVar

from hypereal.gateway.media import pictures
from hypereal.gateway.media.job import Ask, Made
from hypereal.gateway.media.live import Listener
from hypereal.gateway.media.materials import Materials
from hypereal.kit.ids import AccountId
from hypereal.providers import LOCAL
from hypereal.providers.drivers import Failed, Fault, FaultKind, Finished, Kind, Outcome, Output, Takes, Task, Work

NICE = 10
SECONDS_DEFAULT = 5
_LINES = {"0.5k": 512, "1k": 1024, "2k": 2048, "4k": 4096}
"""The side of a square picture of that resolution."""


class DrawnHere:
    """Makes pictures and video of any size and ratio that the rules allow. What died is drawn again."""

    kinds: ClassVar = frozenset({Kind.IMAGE, Kind.IMAGE_EDIT, Kind.VIDEO})
    provider = LOCAL
    is_batch = False
    is_idempotent = True
    is_direct = True
    is_called_back = False
    keys = 1

    def __init__(self, materials: Materials) -> None:
        self._materials = materials
        self._one = ThreadPoolExecutor(1, thread_name_prefix="drawing", initializer=_be_nice)

    async def prepare(self, owner_id: AccountId, ask: Ask, name: str) -> Work:
        """See `Way`."""
        bring = self._materials.bring
        return Work(
            kind=ask.kind,
            model=LOCAL,
            prompt=ask.prompt,
            size=ask.size,
            aspect_ratio=ask.aspect_ratio,
            resolution=ask.resolution,
            duration_s=ask.duration_s,
            references=tuple([await bring(owner_id, one, Takes.BODY, name) for one in ask.references]),
            seed=ask.seed,
        )

    async def submit(self, work: Work, key_number: int, listener: Listener | None = None) -> Outcome:
        """See `Way`. The picture depends on the prompt, the seed, and which of several it is."""
        references = [one.body for one in work.references]
        seed = (work.seed or 0) * 100 + int(work.key.rpartition("-")[2] or 0)
        size = size_of(work)
        draw: Callable[[], bytes]
        if work.kind is Kind.VIDEO:
            seconds = work.duration_s or SECONDS_DEFAULT
            draw = partial(pictures.draw_mp4, work.prompt, seed, size, seconds, references)
            content_type = "video/mp4"
        else:
            draw = partial(pictures.draw_png, work.prompt, seed, size, references)
            content_type = "image/png"
        try:
            body = await asyncio.get_running_loop().run_in_executor(self._one, draw)
        except pictures.BadPicture as error:
            return Failed(fault=Fault(kind=FaultKind.CALLER, message=f"reference_images: {error}."))
        return Finished(outputs=(Output(body=body, content_type=content_type),))

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


def size_of(work: Work) -> tuple[int, int]:
    """Width and height, even, for what WORK asks for."""
    if work.size is not None:
        return work.size
    ratio = 1.0 if work.kind is not Kind.VIDEO else 16 / 9
    wide, _, high = (work.aspect_ratio or "").partition(":")
    if wide.isdecimal() and high.isdecimal():
        ratio = int(wide) / int(high)
    lines = (work.resolution or "").lower()
    if lines in _LINES:
        mean = float(_LINES[lines])
    elif lines.endswith("p") and lines[:-1].isdecimal():
        short = int(lines[:-1])
        mean = short * max(ratio, 1 / ratio) ** 0.5
    else:
        mean = 1024.0 if work.kind is not Kind.VIDEO else 720 * max(ratio, 1 / ratio) ** 0.5
    width, height = mean * ratio**0.5, mean / ratio**0.5
    return round(width / 2) * 2, round(height / 2) * 2


def _be_nice() -> None:
    """The thread gives way to all others, where the system lets single threads do so."""
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
