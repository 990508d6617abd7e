"""Speech that is heard while it is made: who asked hears it, where the same process works on its job.

The job goes on as any other: what is heard is also stored, settled at its end, and made whoever leaves. Where another
process works on it nothing is heard here, and the caller gets it once it is whole.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from weakref import WeakValueDictionary

from hypereal.kit.ids import JobId


class BrokenOff(Exception):
    """What was being heard did not come to its end; a part of it is out already."""


SILENT_S_MAX = 120.0
"""Between two pieces."""


class Listener:
    """One request's ear. All of it is in memory until it is heard: as much as one answer of a vendor may be."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.content_type = ""
        self.provider = ""
        """Whose sound it is."""
        self._pieces: deque[bytes] = deque()
        self._news = asyncio.Event()
        self._is_over = False
        self._is_broken = False

    @property
    def is_broken(self) -> bool:
        """Whether a part was heard, and the rest will not come."""
        return self._is_broken

    def begin(self, content_type: str, provider: str) -> Callable[[bytes], None] | None:
        """Sound of CONTENT_TYPE comes of PROVIDER; each piece is given to what this returns. None: too late for it."""
        if self.begun.is_set():
            return None
        self.content_type, self.provider = content_type, provider
        return self._put

    def end(self, *, is_whole: bool) -> None:
        """A vendor has no more. What is broken off cannot be mended by another's, once a part of it was heard."""
        if self.begun.is_set():
            self._is_over, self._is_broken = True, self._is_broken or not is_whole
            self._news.set()

    async def pieces(self) -> AsyncIterator[bytes]:
        """As they come. Raises BrokenOff: then the connection is cut, so that a part looks like one."""
        while True:
            while self._pieces:
                yield self._pieces.popleft()
            if self._is_over:
                break
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), SILENT_S_MAX)
            except TimeoutError:
                raise BrokenOff from None
        if self._is_broken:
            raise BrokenOff

    def _put(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._news.set()
        self.begun.set()


class Live:
    """The listeners of a process, by their jobs. The request holds its own: with it, it is gone from here."""

    def __init__(self) -> None:
        self._listeners: WeakValueDictionary[JobId, Listener] = WeakValueDictionary()

    def join(self, job_id: JobId, listener: Listener) -> None:
        """LISTENER wants to hear what is made for a job that is new."""
        self._listeners[job_id] = listener

    def to(self, job_id: JobId) -> Listener | None:
        """Who hears the job."""
        return self._listeners.get(job_id)
