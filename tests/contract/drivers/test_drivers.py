"""Every driver against its vendor as documented: what goes well, and all that goes wrong."""

from collections.abc import Callable
from http.client import HTTPException

import msgspec
import pytest
from tests.contract.drivers.conftest import AT_UNIX_S, Stage
from tests.contract.drivers.samples import DIRECT, FIRST_TASKS, SAMPLES, TASKS
from tests.support.media_vendors import MP3, MP4, PNG, WIRES
from tests.support.media_vendors.wire import RETRY_AFTER_S, WORDS

from hypereal.providers import AccessKeys
from hypereal.providers.drivers import (
    DRIVERS,
    Accepted,
    Answer,
    Failed,
    FaultKind,
    Finished,
    Kind,
    Outcome,
    Running,
    Takes,
    Task,
    Unclear,
)

Set = Callable[[str], Stage]
FIRST = [name for name in SAMPLES if name.count("/") == 1]
FAULTS = [(name, fault) for name in FIRST for fault in WIRES[SAMPLES[name].vendor].faults]
WITHIN_OK = [
    (name, fault)
    for name in FIRST
    for fault in WIRES[SAMPLES[name].vendor].within_ok
    if name not in ("google/veo", "google/imagen")
]
"""Those two tell what was blocked in what they bring, as their dialogues show."""
UNREADABLE = ("html", "garbage", "bare_500", "bare_502")
SILENT_ABOUT_RULES = {"kling", "replicate", "toapis"}
"""They tell why a task failed in words only, which nothing is decided by."""
TELL_PROGRESS = {"openai", "bfl", "toapis"}
CAN_BE_STOPPED = {
    *(
        "ark/video",
        "dashscope/video",
        "fal/run",
        "minimax/second",
        "openai/video",
        "replicate/prediction",
        "vidu/video",
    ),
}
NAMED = {
    *("openai", "google", "bfl", "ark", "toapis", "kling", "dashscope", "minimax", "vidu", "xai", "fal", "replicate"),
    *("fish", "elevenlabs"),
}


def fault_of(outcome: Outcome) -> FaultKind:
    assert isinstance(outcome, Failed | Unclear), outcome
    return outcome.fault.kind


def check_outputs(stage: Stage, outcome: Outcome) -> None:
    """What was made can be had, and is what was asked for."""
    assert isinstance(outcome, Finished), outcome
    wanted = {Kind.VIDEO: MP4, Kind.SPEECH: MP3, Kind.CLONE: MP3}.get(stage.work.kind, PNG)
    for output in outcome.outputs:
        if stage.work.kind is Kind.TRANSCRIPT:
            assert output.text == "Hello there. Bye."
        else:
            assert stage.fetch(output) == wanted


def test_the_named_vendors_are_there_each_with_a_wire_and_a_sample_for_each_route() -> None:
    assert DRIVERS.keys() >= NAMED
    assert WIRES.keys() == DRIVERS.keys()
    routes = {f"{driver.name}/{route.name}" for driver in DRIVERS.values() for route in driver.routes}
    assert {"/".join(name.split("/")[:2]) for name in SAMPLES} == routes


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_is_of_its_route_and_gives_files_as_that_takes_them(name: str) -> None:
    sample = SAMPLES[name]
    assert DRIVERS[sample.vendor].route(sample.work) is sample.route
    wanted = {Takes.URL: "url", Takes.BODY: "body"}.get(sample.route.takes)
    if wanted is not None:
        assert all(getattr(file, wanted) for file in (*sample.work.references, sample.work.audio) if file)


@pytest.mark.parametrize("name", DIRECT)
def test_what_is_made_at_once_is_in_the_answer(name: str, stage: Set) -> None:
    set_stage = stage(name)
    outcome = set_stage.submit()
    check_outputs(set_stage, outcome)
    assert isinstance(outcome, Finished)
    assert len(outcome.outputs) == (set_stage.work.n if set_stage.sample.route.is_batch else 1)


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_queued_then_runs_then_is_done(name: str, stage: Set) -> None:
    set_stage = stage(name)
    set_stage.vendor.plan(["queued", ("running", 0.4), "done"])
    task = set_stage.begin()
    queued = set_stage.poll(task)
    assert isinstance(queued, Running) and not queued.unknown_state
    running = set_stage.poll(task)
    assert isinstance(running, Running) and not running.is_queued and not running.unknown_state
    assert 1 <= running.poll_after_s <= 60
    tells = set_stage.sample.vendor in TELL_PROGRESS or name.startswith("xai/")
    assert running.progress == (pytest.approx(0.4) if tells else None)
    check_outputs(set_stage, set_stage.ends(task))
    assert [one.polls for one in set_stage.vendor.tasks] == [3]


@pytest.mark.parametrize("name", [name for name in FIRST_TASKS if SAMPLES[name].vendor not in ("google", "bfl", "xai")])
def test_a_task_that_waits_its_turn_is_told_from_one_that_runs(name: str, stage: Set) -> None:
    set_stage = stage(name)
    set_stage.vendor.plan(["queued"])
    outcome = set_stage.poll(set_stage.begin())
    assert isinstance(outcome, Running) and outcome.is_queued


@pytest.mark.parametrize("name", FIRST_TASKS)
def test_a_task_that_failed_there_is_the_vendors_fault(name: str, stage: Set) -> None:
    set_stage = stage(name)
    set_stage.vendor.plan(["failed"])
    outcome = set_stage.ends(set_stage.begin())
    assert isinstance(outcome, Failed)
    assert outcome.fault.kind is FaultKind.VENDOR
    assert WORDS not in outcome.fault.message


@pytest.mark.parametrize("name", [name for name in FIRST_TASKS if SAMPLES[name].vendor not in SILENT_ABOUT_RULES])
def test_a_task_that_the_vendors_rules_forbid_says_so(name: str, stage: Set) -> None:
    set_stage = stage(name)
    set_stage.vendor.plan(["moderated"])
    outcome = set_stage.ends(set_stage.begin())
    assert isinstance(outcome, Failed)
    assert outcome.fault.kind is FaultKind.MODERATED


@pytest.mark.parametrize("name", [name for name in FIRST_TASKS if name != "openai/video"])
def test_done_without_anything_made_is_a_failure(name: str, stage: Set) -> None:
    set_stage = stage(name)
    set_stage.vendor.plan(["empty"])
    outcome = set_stage.ends(set_stage.begin())
    assert isinstance(outcome, Failed)
    assert outcome.fault.kind is FaultKind.VENDOR


@pytest.mark.parametrize("name", [name for name in FIRST_TASKS if name != "google/veo"])
def test_a_state_that_nobody_documents_is_running_and_told(name: str, stage: Set) -> None:
    set_stage = stage(name)
    set_stage.vendor.plan(["odd", "done"])
    task = set_stage.begin()
    odd = set_stage.poll(task)
    assert isinstance(odd, Running)
    assert odd.unknown_state.lower() == "dreaming"
    check_outputs(set_stage, set_stage.ends(task))


@pytest.mark.parametrize("name", FIRST_TASKS)
def test_an_answer_without_its_state_ends_nothing(name: str, stage: Set) -> None:
    set_stage = stage(name)
    set_stage.vendor.plan(["mute", "done"])
    task = set_stage.begin()
    assert fault_of(mute := set_stage.poll(task)) is FaultKind.VENDOR
    assert isinstance(mute, Unclear)
    check_outputs(set_stage, set_stage.ends(task))


@pytest.mark.parametrize("name", FIRST_TASKS)
def test_a_task_that_the_vendor_forgot_is_lost(name: str, stage: Set) -> None:
    set_stage = stage(name)
    set_stage.vendor.plan(["lost"])
    task = set_stage.begin()
    outcome = set_stage.poll(task)
    assert name == "minimax/video" or fault_of(outcome) is FaultKind.LOST
    set_stage.vendor.tasks.clear()
    outcome = set_stage.poll(task)
    if set_stage.sample.vendor == "minimax":  # it has one code for this and for other mistakes
        assert isinstance(outcome, Unclear)
    else:
        assert isinstance(outcome, Failed) and outcome.fault.kind is FaultKind.LOST


@pytest.mark.parametrize(("name", "fault"), FAULTS)
def test_a_submit_is_refused_for_the_reason_that_the_vendor_gives(name: str, fault: str, stage: Set) -> None:
    set_stage = stage(name)
    set_stage.vendor.break_next("submit", fault)
    outcome = set_stage.submit()
    assert isinstance(outcome, Failed)
    check_fault(outcome, fault, set_stage)
    assert not set_stage.vendor.tasks


@pytest.mark.parametrize(("name", "fault"), WITHIN_OK)
def test_a_refusal_within_an_answer_of_status_200_is_one(name: str, fault: str, stage: Set) -> None:
    set_stage = stage(name)
    set_stage.vendor.break_next("submit", f"ok:{fault}")
    outcome = set_stage.submit()
    assert isinstance(outcome, Failed)
    assert outcome.fault.kind is FaultKind(fault)


def check_fault(outcome: Failed, fault: str, set_stage: Stage) -> None:
    told = outcome.fault
    assert told.kind is FaultKind(fault)
    is_told = fault in ("caller", "moderated")
    assert (WORDS in told.message) == (is_told and WORDS in told.detail)
    assert set_stage.vendor.key not in repr(outcome)
    if fault == "caller":
        assert WORDS in told.message
    if fault == "rate" and set_stage.sample.vendor not in ("kling", "minimax"):
        assert told.retry_after_s == RETRY_AFTER_S


@pytest.mark.parametrize("name", FIRST)
def test_a_credential_that_is_not_the_vendors_is_told_from_everything_else(name: str, stage: Set) -> None:
    set_stage = stage(name)
    set_stage.vendor.key = "another"
    assert fault_of(set_stage.submit()) is FaultKind.CREDENTIAL
    assert not set_stage.vendor.tasks


@pytest.mark.parametrize("how", [*UNREADABLE, "empty"])
@pytest.mark.parametrize("name", FIRST)
def test_after_a_submit_that_is_answered_with_noise_nobody_knows_whether_it_began(
    name: str, how: str, stage: Set
) -> None:
    set_stage = stage(name)
    set_stage.vendor.break_next("submit", how)
    outcome = set_stage.submit()
    assert fault_of(outcome) is FaultKind.VENDOR
    is_empty_and_whole = how == "empty" and set_stage.sample.route.is_direct
    assert isinstance(outcome, Unclear) or is_empty_and_whole


@pytest.mark.parametrize("name", FIRST_TASKS)
def test_a_submit_whose_answer_is_lost_has_begun_and_is_found_again_where_the_vendor_can(name: str, stage: Set) -> None:
    set_stage = stage(name)
    set_stage.vendor.break_next("submit", "no_answer")
    with pytest.raises((OSError, HTTPException)):
        set_stage.submit()
    assert len(set_stage.vendor.tasks) == 1
    task = set_stage.driver.recover(set_stage.work)
    assert (task is not None) == (set_stage.sample.vendor == "kling")
    if task is not None:
        set_stage.vendor.tasks[0].id = set_stage.work.key  # it is known by both ids
        check_outputs(set_stage, set_stage.ends(task))
        set_stage.vendor.tasks.clear()
        assert fault_of(set_stage.poll(task)) is FaultKind.LOST


@pytest.mark.parametrize("how", [*UNREADABLE, "empty"])
@pytest.mark.parametrize("name", FIRST_TASKS)
def test_noise_in_the_place_of_a_poll_ends_nothing(name: str, how: str, stage: Set) -> None:
    set_stage = stage(name)
    task = set_stage.begin()
    set_stage.vendor.break_next("poll", how)
    noise = set_stage.poll(task)
    assert isinstance(noise, Unclear) and noise.fault.kind is FaultKind.VENDOR
    check_outputs(set_stage, set_stage.ends(task))


@pytest.mark.parametrize("fault", ["rate", "credential", "balance", "vendor"])
@pytest.mark.parametrize("name", FIRST_TASKS)
def test_a_poll_that_is_refused_for_our_sake_ends_nothing(name: str, fault: str, stage: Set) -> None:
    set_stage = stage(name)
    task = set_stage.begin()
    if fault in set_stage.vendor.wire.faults:
        set_stage.vendor.break_next("poll", fault)
        refused = set_stage.poll(task)
        assert isinstance(refused, Unclear) and refused.fault.kind is FaultKind(fault)
    check_outputs(set_stage, set_stage.ends(task))


@pytest.mark.parametrize("name", ["fal/run", "minimax/video"])
@pytest.mark.parametrize("how", [*UNREADABLE, "rate", "credential"])
def test_what_goes_wrong_when_a_result_is_asked_for_ends_nothing(name: str, how: str, stage: Set) -> None:
    set_stage = stage(name)
    done = set_stage.poll(set_stage.begin())
    assert isinstance(done, Accepted)
    set_stage.vendor.break_next("result", how)
    assert isinstance(set_stage.poll(done.task), Unclear)
    check_outputs(set_stage, set_stage.ends(done.task))


def test_an_error_in_the_place_of_a_result_is_the_tasks_own_only_where_the_vendor_says_that(stage: Set) -> None:
    set_stage = stage("fal/run")
    set_stage.vendor.plan(["running", "done"])
    done = msgspec.structs.replace(set_stage.begin(), is_done=True)
    early = set_stage.poll(msgspec.structs.replace(done, poll=done.result))
    assert isinstance(early, Unclear), "it is still in progress there"
    set_stage.vendor.break_next("result", "caller")
    outcome = set_stage.poll(msgspec.structs.replace(done, poll=done.result))
    assert isinstance(outcome, Failed)
    assert outcome.fault.kind is FaultKind.CALLER


@pytest.mark.parametrize("name", FIRST_TASKS)
def test_a_task_is_stopped_where_the_vendor_can(name: str, stage: Set) -> None:
    set_stage = stage(name)
    set_stage.vendor.plan(["queued"])
    task = set_stage.begin()
    request = set_stage.driver.cancel(task)
    assert (request is not None) == (name in CAN_BE_STOPPED)
    if request is not None:
        answer = set_stage.send(request)
        assert set_stage.driver.read_cancel(task, answer)
        assert [one.is_cancelled for one in set_stage.vendor.tasks] == [True]
        outcome = set_stage.ends(task)
        assert fault_of(outcome) in (FaultKind.CANCELLED, FaultKind.VENDOR)
        assert isinstance(outcome, Failed)


@pytest.mark.parametrize("name", [name for name in FIRST_TASKS if DRIVERS[SAMPLES[name].vendor].name == "vidu"])
def test_a_refusal_to_stop_is_no_stop(name: str, stage: Set) -> None:
    set_stage = stage(name)
    task = set_stage.begin()
    set_stage.vendor.break_next("cancel", "caller")
    request = set_stage.driver.cancel(task)
    assert request is not None
    assert not set_stage.driver.read_cancel(task, set_stage.send(request))


@pytest.mark.parametrize("name", [name for name in DIRECT if SAMPLES[name].work.kind in (Kind.SPEECH, Kind.CLONE)])
def test_sound_can_be_passed_on_as_it_comes(name: str, stage: Set) -> None:
    set_stage = stage(name)
    answer = set_stage.send(set_stage.driver.submit(set_stage.work))
    head = msgspec.structs.replace(answer, body=b"")
    assert set_stage.driver.opens(set_stage.work, head) == "audio/mpeg"
    set_stage.vendor.break_next("submit", "rate")
    refused = set_stage.send(set_stage.driver.submit(set_stage.work))
    assert set_stage.driver.opens(set_stage.work, msgspec.structs.replace(refused, body=b"")) is None


@pytest.mark.parametrize("name", TASKS)
def test_a_credential_goes_to_no_other_host(name: str, stage: Set) -> None:
    set_stage = stage(name)
    task = set_stage.begin()
    for url in ("https://evil.example/x", "http://169.254.169.254/x", f"{set_stage.vendor.url}@evil.example/x"):
        with pytest.raises(ValueError, match="is not"):
            set_stage.driver.sign(set_stage.provider, set_stage.driver.poll(moved(task, url)), at_unix_s=0)


def moved(task: Task, url: str) -> Task:
    return msgspec.structs.replace(task, poll=url)


@pytest.mark.parametrize("name", FIRST_TASKS)
def test_a_task_of_a_route_that_is_no_more_is_lost(name: str, stage: Set) -> None:
    set_stage = stage(name)
    task = msgspec.structs.replace(set_stage.begin(), route="gone")
    answer = Answer(status=200, headers={}, body=b"{}", url=set_stage.vendor.url)
    assert fault_of(set_stage.driver.read_poll(task, answer)) is FaultKind.LOST


def test_a_pair_of_keys_makes_a_token(stage: Set) -> None:
    set_stage = stage("kling/video")
    keys = AccessKeys(access_key="ak", secret_key="sk")
    paired = msgspec.structs.replace(set_stage.provider, api_keys=(), credentials=keys)
    signed = set_stage.driver.sign(paired, set_stage.driver.submit(set_stage.work), at_unix_s=AT_UNIX_S)
    scheme, _, set_stage.vendor.key = signed.headers["authorization"].partition(" ")
    assert (scheme, set_stage.vendor.key.count(".")) == ("Bearer", 2)
    assert set_stage.send(set_stage.driver.submit(set_stage.work), provider=paired).status == 200


@pytest.mark.parametrize("name", FIRST)
def test_what_a_caller_adds_goes_on_only_where_the_route_names_it_and_never_over_ours(name: str, stage: Set) -> None:
    set_stage = stage(name)
    sneaky = {"model": "dearer", "model_name": "dearer", "n": 10, "num_images": 10, "duration": 60, "webhook": "x"}
    added = msgspec.structs.replace(set_stage.work, extra={**sneaky, **set_stage.work.extra})
    assert set_stage.driver.submit(added) == set_stage.driver.submit(set_stage.work)
