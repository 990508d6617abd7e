"""Breakers open after failures in a row and are probed at growing intervals; keys rest one by one."""

import pytest

from hypereal.gateway.faults import BROKEN, LIMITED
from hypereal.gateway.health import FAILURES_MAX, OPEN_S, OPEN_S_MAX, Breaker, KeyRing
from hypereal.kit.clock import coarse


@pytest.fixture
def at(monkeypatch):
    """Sets the coarse clock to so many seconds after the test's start."""
    began_s = coarse.monotonic_s

    def set_to(seconds: float) -> None:
        monkeypatch.setattr(coarse, "monotonic_s", began_s + seconds)

    set_to(0)
    return set_to


def opened() -> Breaker:
    breaker = Breaker()
    for _ in range(FAILURES_MAX):
        breaker.begin()
        breaker.failed(BROKEN)
    return breaker


def test_failures_in_a_row_open_it_and_fewer_do_not(at):
    breaker = Breaker()
    for _ in range(FAILURES_MAX - 1):
        assert not breaker.failed(BROKEN)
    assert breaker.lets_through
    assert breaker.failed(LIMITED)
    assert not breaker.lets_through
    assert breaker.health.state == "open"
    assert breaker.health.faults == {"broken": FAILURES_MAX - 1, "limited": 1}
    assert breaker.health.last_fault == "limited"


def test_a_success_forgets_failures(at):
    breaker = Breaker()
    for _ in range(3 * FAILURES_MAX):
        breaker.failed(BROKEN)
        breaker.succeeded()
    assert breaker.lets_through


def test_when_its_time_is_over_one_call_probes_and_the_others_keep_away(at):
    breaker = opened()
    at(OPEN_S)
    assert breaker.health.state == "half_open"
    assert breaker.lets_through
    breaker.begin()
    assert not breaker.lets_through
    breaker.succeeded()
    assert breaker.lets_through
    assert breaker.health.state == "closed"


def test_each_failed_probe_doubles_the_time_to_the_next_up_to_a_bound(at):
    breaker, now_s, waits = opened(), 0.0, []
    for _ in range(6):
        wait_s = next(s for s in range(1, int(OPEN_S_MAX) + 2) if _lets_through_at(breaker, at, now_s + s))
        waits.append(wait_s)
        now_s += wait_s
        at(now_s)
        breaker.begin()
        breaker.failed(BROKEN)
    assert waits == [10, 20, 40, 80, 120, 120]


def _lets_through_at(breaker: Breaker, at, seconds: float) -> bool:
    at(seconds)
    return breaker.lets_through


def test_a_probe_that_hangs_does_not_keep_the_target_out_for_ever(at):
    breaker = opened()
    at(OPEN_S)
    breaker.begin()
    at(2 * OPEN_S)
    assert breaker.lets_through


def test_a_key_that_rests_is_passed_over_until_it_is_ready(at):
    keys = KeyRing(3)
    assert [keys.pick(number) for number in range(3)] == [0, 1, 2]
    assert keys.rest(1, 30)
    assert [keys.pick(number) for number in range(3)] == [0, 2, 2]
    at(31)
    assert keys.pick(1) == 1


def test_where_all_keys_rest_the_one_that_is_ready_first_is_used(at):
    keys = KeyRing(2)
    assert keys.rest(0, 30)
    assert not keys.rest(1, 10)
    assert keys.pick(0) == 1
