"""Backoff of crashed processes."""

from hypereal.serve.restarts import CRASHES_MAX, DELAY_S_MAX, WINDOW_S, Restarts


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_five_crashes_in_five_minutes_are_enough() -> None:
    restarts = Restarts(Clock())
    assert [restarts.crashed() for _ in range(CRASHES_MAX)] == [1, 2, 4, 8, None]


def test_rarer_crashes_go_on_with_longer_waits_up_to_a_minute() -> None:
    clock = Clock()
    restarts = Restarts(clock)
    delays = []
    for _ in range(10):
        delays.append(restarts.crashed())
        clock.now += WINDOW_S / 4 + 1
    assert delays == [1, 2, 4, 8, 16, 32, *[DELAY_S_MAX] * 4]


def test_five_good_minutes_make_the_next_wait_short_again() -> None:
    clock = Clock()
    restarts = Restarts(clock)
    for _ in range(3):
        restarts.crashed()
    clock.now += WINDOW_S + 1
    assert restarts.crashed() == 1
