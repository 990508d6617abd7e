from hypereal.net.bodies import BodyBudget


def accept() -> bool:
    return True


def test_body_over_the_bound_waits_and_is_reserved_when_called():
    budget, went = BodyBudget(100), []
    assert budget.take(60, accept)
    assert not budget.take(60, lambda: went.append("second") is None)
    assert budget.bytes_held == 60
    budget.give_back(60)
    assert went == ["second"]
    assert budget.bytes_held == 60


def test_body_longer_than_the_bound_comes_when_it_is_alone():
    budget, went = BodyBudget(100), []
    assert budget.take(500, accept)
    assert not budget.take(500, lambda: went.append("next") is None)
    budget.give_back(500)
    assert went == ["next"]


def test_long_body_is_not_starved_by_short_ones():
    budget, went = BodyBudget(100), []
    assert budget.take(60, accept)
    assert not budget.take(90, lambda: went.append("long") is None)
    assert not budget.take(1, lambda: went.append("short") is None)
    budget.give_back(60)
    assert went == ["long", "short"]
    assert budget.bytes_held == 91


def test_thousands_that_wait_no_more_are_passed_over_and_hold_nothing():
    budget, went = BodyBudget(100), []
    assert budget.take(100, accept)
    for _ in range(5000):
        budget.take(100, lambda: False)
    budget.take(100, lambda: went.append("wanted") is None)
    budget.give_back(100)
    assert went == ["wanted"]
    budget.give_back(100)
    assert budget.bytes_held == 0


def test_what_comes_beside_a_body_is_counted_or_refused_at_once():
    budget = BodyBudget(100)
    assert budget.take_now(60)
    assert not budget.take_now(60)
    assert budget.bytes_held == 60
    assert not budget.take(50, accept)
    assert not budget.take_now(10)  # somebody waits longer
    budget.give_back(60)
    assert budget.bytes_held == 50
    assert budget.take_now(10)
