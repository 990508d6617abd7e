"""Answers that were right and are then broken in one place, thousands of times: whatever a vendor sends, it comes to an
outcome, and never to something made that is not there."""

import json
import random
from collections.abc import Callable, Iterator
from typing import Any, get_args

import msgspec
import pytest
from tests.contract.drivers.conftest import Stage
from tests.contract.drivers.samples import SAMPLES

from hypereal.providers.drivers import Accepted, Answer, Finished, Outcome, Unclear

FIRST = [name for name in SAMPLES if name.count("/") == 1]
TURNS = 150
STATES = ("queued", "done", "failed", "moderated", "empty")
NOISE: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1e300, "", "x" * 5000, "\0\n\u2028", "../..", "http://169.254.169.254/", "data:,x"),
    *([], {}, [[]], [None], {"id": {}}, [{"url": 5}], {"a": [{"b": "c"}]}),
)
STATUSES = (200, 200, 200, 201, 202, 204, 302, 400, 403, 404, 429, 500, 503)


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield at
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in inner:
        yield from places(below, (*at, key))


def broken(value: Any, dice: random.Random) -> Any:
    """A copy of VALUE with one thing in it replaced, or left out."""
    copy = json.loads(json.dumps(value))
    *above, last = dice.choice([*places(copy)]) or (None,)
    if last is None:
        return dice.choice(NOISE)
    holder = copy
    for key in above:
        holder = holder[key]
    if dice.random() < 0.2:
        del holder[last]
    else:
        holder[last] = dice.choice(NOISE)
    return copy


def right_answers(set_stage: Stage) -> Iterator[tuple[Answer, Callable[[Answer], Outcome]]]:
    """Answers of this vendor, and what reads them."""
    driver, work = set_stage.driver, set_stage.work
    for state in STATES:
        set_stage.vendor.plan([state])
        answer = set_stage.send(driver.submit(work))
        yield answer, lambda said: driver.read_submit(work, said)
        outcome = driver.read_submit(work, answer)
        while isinstance(outcome, Accepted):
            task = outcome.task
            answer = set_stage.send(driver.poll(task))
            yield answer, lambda said, task=task: driver.read_poll(task, said)
            outcome = driver.read_poll(task, answer)


@pytest.mark.parametrize("name", FIRST)
def test_whatever_a_vendor_sends_comes_to_an_outcome(name: str, stage: Callable[[str], Stage]) -> None:
    set_stage = stage(name)
    dice = random.Random(name)
    for answer, read in right_answers(set_stage):
        try:
            said = json.loads(answer.body)
        except ValueError:
            said = {}
        for _ in range(TURNS):
            body = json.dumps(broken(said, dice)).encode()
            if dice.random() < 0.1:
                body = body[: dice.randrange(len(body))]
            headers = {**answer.headers, "retry-after": str(dice.choice(NOISE))[:50]}
            noise = msgspec.structs.replace(answer, body=body, status=dice.choice(STATUSES), headers=headers)
            check(set_stage, read(noise))


def check(set_stage: Stage, outcome: Outcome) -> None:
    assert isinstance(outcome, get_args(Outcome))
    if isinstance(outcome, Finished):
        assert outcome.outputs
        for output in outcome.outputs:
            assert output.url or output.body or output.content_type == "text/plain"
            if output.needs_credential:
                set_stage.driver.sign(set_stage.provider, set_stage.driver.fetch(output), at_unix_s=0)
    if isinstance(outcome, Accepted):
        set_stage.driver.sign(set_stage.provider, set_stage.driver.poll(outcome.task), at_unix_s=0)
        assert len(msgspec.json.encode(outcome.task)) < 20_000


@pytest.mark.parametrize("name", FIRST)
@pytest.mark.parametrize("body", [b"", b"null", b"[]", b'"x"', b"[" * 100_000, b"\xff\xfe", b"{}", b"0"])
def test_bodies_that_are_nothing_are_noise(name: str, body: bytes, stage: Callable[[str], Stage]) -> None:
    set_stage = stage(name)
    answer = Answer(status=200, headers={}, body=body, url=set_stage.vendor.url)
    outcome = set_stage.driver.read_submit(set_stage.work, answer)
    assert isinstance(outcome, Unclear) or body in (b"[]", b"{}")
    assert not isinstance(outcome, Finished | Accepted)
