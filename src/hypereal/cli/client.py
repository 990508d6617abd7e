"""A server as its callers see it: what `images`, `speak`, `jobs` and the like ask over HTTP, with a key."""

import os
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

URL = "http://127.0.0.1:8787"
CONNECT_S_MAX = 10.0
ANSWER_S_MAX = 660.0
"""Some routes hold an answer for ten minutes."""
POLL_S = 1.0
FILE_BYTES_MAX = 25 * 1024 * 1024
"""Of one that is sent along."""
ERROR_CHARS_MAX = 2_000


class CannotAsk(Exception):
    """The server refuses, or is not there. The message is for whoever typed the command."""


class Job(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A job, as far as a command looks at it."""

    job_id: str
    model: str
    type: str
    status: str
    credits_used: float
    outputs: list[str]
    created_at: str
    progress: float | None = None
    waiting: str | None = None
    error: str | None = None

    @property
    def is_final(self) -> bool:
        """Nothing changes any more."""
        return self.status != "processing"


class Client:
    """One for a command. Every method raises CannotAsk."""

    def __init__(self) -> None:
        url = os.environ.get("HYPEREAL_BASE_URL", "").strip() or URL
        if urlsplit(url).scheme not in ("http", "https"):
            raise CannotAsk(f"HYPEREAL_BASE_URL is {url!r}: give an http or https URL.")
        key = os.environ.get("HYPEREAL_API_KEY", "").strip()
        if not key:
            raise CannotAsk(
                "HYPEREAL_API_KEY is not set. `hypereal keys create --email you@example.com --credits 100` makes a key."
            )
        if not key.isascii() or not key.isprintable():
            raise CannotAsk("HYPEREAL_API_KEY holds what no key has in it.")
        self.url = url.rstrip("/").removesuffix("/v1").removesuffix("/api")
        self._http = httpx2.Client(
            headers={"authorization": f"Bearer {key}", "x-hypereal-app": "hypereal-cli"},
            timeout=httpx2.Timeout(ANSWER_S_MAX, connect=CONNECT_S_MAX),
            follow_redirects=False,
        )

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        """What GET answers."""
        with self._failures():
            answer = self._http.get(self.url + path, params={k: v for k, v in query.items() if v is not None})
        return self._told(answer)

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What POST answers."""
        return self._told(self._posted(path, json={k: v for k, v in (body or {}).items() if v is not None}))

    def post_bytes(self, path: str, body: Mapping[str, Any]) -> httpx2.Response:
        """The answer to POST, which is no JSON."""
        return self._checked(self._posted(path, json={k: v for k, v in body.items() if v is not None}))

    def post_file(self, path: str, fields: Mapping[str, str], file: Path) -> httpx2.Response:
        """The answer to a form with FILE."""
        return self._checked(self._posted(path, data=dict(fields), files={"file": (file.name, read_file(file))}))

    @contextmanager
    def stream(self, path: str, body: Mapping[str, Any]) -> Iterator[Iterator[str]]:
        """The lines of the answer to POST, as they come."""
        with self._failures(), self._http.stream("POST", self.url + path, json=dict(body)) as answer:
            if answer.status_code >= 400:
                answer.read()
                self._checked(answer)
            yield answer.iter_lines()

    def save(self, url: str, file: Path, *, force: bool) -> None:
        """Bring what is at URL, a signed link, into FILE."""
        with (
            self._failures(),
            writing(file, force=force) as target,
            httpx2.stream("GET", url, timeout=ANSWER_S_MAX, follow_redirects=True) as answer,
        ):
            if answer.status_code != 200:
                raise CannotAsk(f"The file cannot be fetched: status {answer.status_code} of {url}")
            for piece in answer.iter_bytes():
                target.write(piece)

    def job(self, job_id: str) -> Job:
        """The job."""
        return msgspec.convert(self.get(f"/v1/jobs/{job_id}"), Job)

    def _posted(self, path: str, **what: Any) -> httpx2.Response:
        with self._failures():
            return self._http.post(self.url + path, headers={"idempotency-key": f"cli-{uuid.uuid4()}"}, **what)

    def _told(self, answer: httpx2.Response) -> dict[str, Any]:
        try:
            told = self._checked(answer).json()
        except ValueError:
            told = None
        if not isinstance(told, dict):
            raise CannotAsk(f"{self.url} answers, but not as Hypereal does. Is HYPEREAL_BASE_URL right?")
        return told

    def _checked(self, answer: httpx2.Response) -> httpx2.Response:
        if answer.status_code < 300:
            return answer
        try:
            message = answer.json()["error"]["message"]
        except (ValueError, KeyError, TypeError):
            message = f"{self.url} answers with status {answer.status_code}. Is HYPEREAL_BASE_URL right?"
        raise CannotAsk(str(message)[:ERROR_CHARS_MAX])

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except (httpx2.ConnectError, httpx2.ConnectTimeout):
            message = f"Nothing answers at {self.url}. Start it (`hypereal serve`), or set HYPEREAL_BASE_URL."
            raise CannotAsk(message) from None
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise CannotAsk(f"{self.url} did not answer: {type(error).__name__}.") from None


def wait(client: Client, job_id: str) -> Job:
    """The job once it has ended; on a terminal, with a bar of how it goes. Leaving does not cancel it."""
    told = Console(stderr=True, markup=False, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=told, transient=True, disable=not sys.stderr.isatty()) as progress:
        bar = progress.add_task("asking", total=None)
        try:
            while not (job := client.job(job_id)).is_final:
                progress.update(
                    bar,
                    description=f"{job.type}: {job.waiting or job.status}",
                    total=None if job.progress is None else 1.0,
                    completed=job.progress or 0.0,
                )
                time.sleep(POLL_S)
        except KeyboardInterrupt:
            sys.stderr.write(f"\nIt goes on: hypereal jobs wait {job_id}\n")
            raise typer.Exit(130) from None
    return job


def done(client: Client, job_id: str) -> Job:
    """The job once it is done. Raises CannotAsk where it has failed or was cancelled."""
    job = wait(client, job_id)
    if job.status != "completed":
        raise CannotAsk(
            f"{job.job_id} {'was cancelled' if job.status == 'cancelled' else 'failed'}: {job.error or '-'}"
        )
    return job


def read_file(file: Path) -> bytes:
    """What is in FILE. Raises CannotAsk, OSError."""
    if file.stat().st_size > FILE_BYTES_MAX:
        raise CannotAsk(f"{file} has over {FILE_BYTES_MAX} bytes.")
    return file.read_bytes()


def check_free(*files: Path, force: bool) -> None:
    """See, before anything is paid for, that FILES can be written. Raises CannotAsk."""
    for file in files:
        if file.exists() and not force:
            raise CannotAsk(f"{file} is there already. Choose another name (--output), or --force.")
        if not file.absolute().parent.is_dir():
            raise CannotAsk(f"There is no folder {file.absolute().parent}.")


@contextmanager
def writing(file: Path, *, force: bool) -> Iterator[Any]:
    """FILE, to be written; it is not there where that fails. Raises CannotAsk where it was there before."""
    part = file.with_name(f".{file.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        with part.open("xb") as target:
            yield target
        check_free(file, force=force)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
