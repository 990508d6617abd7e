"""A vendor that plays its part over HTTP, and a caller that does what the conductor of jobs does: sends, hands back."""

import http.client
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest
from tests.contract.drivers.samples import SAMPLES, Sample
from tests.support.background import Background
from tests.support.media_vendors import MediaVendor

from hypereal.providers import Provider, load
from hypereal.providers.drivers import DRIVERS, Accepted, Answer, Outcome, Output, Request, Task, Work

AT_UNIX_S = 1_767_225_600.0
EXCHANGES_MAX = 20


class Stage:
    """A sample's driver before its vendor."""

    def __init__(self, sample: Sample, vendor: MediaVendor) -> None:
        self.sample, self.vendor = sample, vendor
        self.work: Work = sample.work
        self.driver = DRIVERS[sample.vendor]
        self.provider: Provider = load({}, vendor.environ, Path("/run/local.sock"))[sample.vendor]

    def send(self, request: Request, *, provider: Provider | None = None) -> Answer:
        """What the vendor answers. Raises OSError or HTTPException where it does not."""
        signed = self.driver.sign(provider or self.provider, request, at_unix_s=AT_UNIX_S)
        url = urlsplit(signed.url)
        connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=10)
        try:
            target = url.path + (f"?{url.query}" if url.query else "")
            connection.request(signed.method, target, signed.body or None, dict(signed.headers))
            answer = connection.getresponse()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(status=answer.status, headers=headers, body=answer.read(), url=signed.url)
        finally:
            connection.close()

    def submit(self) -> Outcome:
        return self.driver.read_submit(self.work, self.send(self.driver.submit(self.work)))

    def begin(self) -> Task:
        """A task, as another process would find it."""
        outcome = self.submit()
        assert isinstance(outcome, Accepted)
        return msgspec.json.decode(msgspec.json.encode(outcome.task), type=Task)

    def poll(self, task: Task) -> Outcome:
        return self.driver.read_poll(task, self.send(self.driver.poll(task)))

    def ends(self, task: Task) -> Outcome:
        """The outcome of TASK's next poll, and of what that leads to."""
        for _ in range(EXCHANGES_MAX):
            outcome = self.poll(task)
            if not isinstance(outcome, Accepted):
                return outcome
            assert outcome.poll_after_s == 0
            task = outcome.task
        raise AssertionError("it never ends")

    def fetch(self, output: Output) -> bytes:
        """What lies at OUTPUT's address, or in it."""
        return self.send(self.driver.fetch(output)).body if output.url else output.body


@pytest.fixture(scope="session")
def background() -> Iterator[Background]:
    running = Background()
    yield running
    running.close()


@pytest.fixture
def stage(background: Background) -> Iterator[Callable[[str], Stage]]:
    """Sets the stage for a sample."""
    vendors: list[MediaVendor] = []

    def set_for(name: str) -> Stage:
        sample = SAMPLES[name]
        vendors.append(MediaVendor(background, sample.vendor))
        return Stage(sample, vendors[-1])

    yield set_for
    for vendor in vendors:
        vendor.close()
