"""Reading by tables, with a vendor that is none."""

import json
from typing import Any

import pytest

from hypereal.providers.drivers import Accepted, Answer, Facts, Failed, FaultKind, Finished, Kind, Running, Task, Work
from hypereal.providers.drivers.errors import Errors
from hypereal.providers.drivers.replies import OUTPUTS_MAX, Outputs, State, Tasks, Terms, filled

GENERAL = Errors()
WORK = Work(kind=Kind.VIDEO, model="m")
TERMS = Terms(route="r", errors=GENERAL, hosts=())
STATES = {"wait": State.QUEUED, "go": State.RUNNING, "done": State.DONE, "bad": State.FAILED, "no": State.MODERATED}
TASKS = Tasks(
    id=("id",),
    poll="/tasks/{id}",
    poll_at="status_url",
    cancel="DELETE /tasks/{id}",
    cancel_at="cancel_url",
    state=("state",),
    states=STATES,
    progress=("percent",),
    outputs=Outputs(items=("out[]", "out"), url="url", lifetime_s=60, facts={"duration_ms": ("seconds",)}),
)


def answer(body: Any, status: int = 200) -> Answer:
    return Answer(status=status, headers={}, body=json.dumps(body).encode(), url="http://vendor:1/submit")


def accepted(**members: Any) -> Task:
    outcome = TASKS.read_submit(TERMS, WORK, answer({"id": "t-1", **members}))
    assert isinstance(outcome, Accepted)
    return outcome.task


def test_a_task_keeps_all_that_is_needed_to_go_on() -> None:
    assert accepted() == Task(route="r", id="t-1", poll="/tasks/t-1", cancel="DELETE /tasks/t-1")
    told = accepted(status_url="http://vendor:1/s", cancel_url="http://vendor:1/c")
    assert (told.poll, told.cancel) == ("http://vendor:1/s", "DELETE http://vendor:1/c")


@pytest.mark.parametrize(
    "url",
    ["http://vendor:2/s", "https://vendor:1/s", "//vendor:1/s", "ftp://vendor:1/s", 5, "http://vendor:1/" + "x" * 3000],
)
def test_a_place_that_is_not_the_vendors_is_not_believed(url: object) -> None:
    assert accepted(status_url=url, cancel_url=url) == accepted()


def test_an_id_cannot_lead_elsewhere() -> None:
    assert filled("/tasks/{id}?a={id}", {"id": "../x?y&z=1"}) == "/tasks/..%2Fx%3Fy%26z%3D1?a=..%2Fx%3Fy%26z%3D1"
    assert filled("/{+id}", {"id": "models/m/../operations/o 1"}) == "/models/m//operations/o%201"


def test_a_submit_may_already_bring_the_end() -> None:
    done = TASKS.read_submit(TERMS, WORK, answer({"id": "t-1", "state": "done", "out": [{"url": "https://x/y"}]}))
    assert isinstance(done, Finished)
    failed = TASKS.read_submit(TERMS, WORK, answer({"id": "t-1", "state": "bad"}))
    assert isinstance(failed, Failed)


@pytest.mark.parametrize(
    ("percent", "progress"), [(0, 0.0), (40, 0.4), ("40", 0.4), (400, 1.0), (-5, 0.0), (None, None), ("x", None)]
)
def test_progress_is_between_nothing_and_all(percent: object, progress: float | None) -> None:
    outcome = TASKS.read_poll(TERMS, accepted(), answer({"state": "go", "percent": percent}))
    assert isinstance(outcome, Running)
    assert outcome.progress == progress


def test_a_final_state_counts_also_with_a_status_that_tells_of_trouble() -> None:
    outcome = TASKS.read_poll(TERMS, accepted(), answer({"state": "no"}, 503))
    assert isinstance(outcome, Failed)
    assert outcome.fault.kind is FaultKind.MODERATED


def test_outputs_are_read_from_the_first_place_that_has_any_and_bounded() -> None:
    many = {"state": "done", "out": [{"url": f"https://x/{number}"} for number in range(50)], "seconds": "5.1"}
    outcome = TASKS.read_poll(TERMS, accepted(), answer(many))
    assert isinstance(outcome, Finished)
    assert len(outcome.outputs) == OUTPUTS_MAX
    assert outcome.facts == Facts(duration_ms=5100)
    assert outcome.outputs[0].lifetime_s == 60
    single = TASKS.read_poll(TERMS, accepted(), answer({"state": "done", "out": {"url": "https://x/1"}}))
    assert isinstance(single, Finished)


def test_a_data_url_is_bytes() -> None:
    said = {"state": "done", "out": {"url": "data:image/png;base64,AAEC"}}
    outcome = TASKS.read_poll(TERMS, accepted(), answer(said))
    assert isinstance(outcome, Finished)
    assert (outcome.outputs[0].url, outcome.outputs[0].body) == ("", b"\0\1\2")


@pytest.mark.parametrize("out", [None, [], {}, [{}], [None], "text", [{"url": ""}], [{"url": 0}]])
def test_nothing_made_is_never_a_success(out: object) -> None:
    outcome = TASKS.read_poll(TERMS, accepted(), answer({"state": "done", "out": out}))
    assert isinstance(outcome, Failed) or outcome.outputs[0].url == "0"  # type: ignore[union-attr]


def test_some_outputs_of_several_are_a_success_of_those() -> None:
    table = Outputs(items=("data[]",), url="url", allowed="ok")
    said = {"data": [{"url": "https://x/1"}, {"url": "https://x/2", "ok": False}, {"error": "x"}]}
    outcome = table.read(GENERAL, answer(said), said)
    assert isinstance(outcome, Finished)
    assert [one.url for one in outcome.outputs] == ["https://x/1"]
    none = table.read(GENERAL, answer({}), {"data": [{"url": "https://x/2", "ok": False}]})
    assert isinstance(none, Failed)
    assert none.fault.kind is FaultKind.MODERATED
