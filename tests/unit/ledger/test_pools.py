"""How much is leased ahead: PostgreSQL is played by a function, and time by numbers."""

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from hypereal.kit.ids import AccountId, PoolId
from hypereal.ledger.asks import Ask, Standing
from hypereal.ledger.pools import EXACT_S, Pool


def new_pool() -> Pool:
    return Pool(PoolId("acc_ada"), AccountId("acc_ada"), None)


def apply(pool: Pool, ask: Ask, now_s: float, *, elsewhere: int = 0) -> None:
    """Grant everything."""
    pool.granted(ask, Standing(pool.leased + ask.need + ask.wish, 10**9, 10**9, elsewhere), now_s)


def lease(pool: Pool, amount: int, now_s: float = 0.0) -> None:
    pool.wanted += amount
    apply(pool, pool.ask(0, amount, now_s), now_s)
    pool.wanted -= amount
    pool.free -= amount


@given(
    callers=st.integers(1, 50),
    held=st.integers(1, 1000),
    cost_percent=st.integers(0, 100),
    lasts=st.integers(1, 40),
    batch_every=st.integers(1, 40),
)
def test_steady_calls_come_to_wait_for_nothing(
    callers: int, held: int, cost_percent: int, lasts: int, batch_every: int
) -> None:
    """Each caller has the next call when one ended; a batch goes every so many steps, and is answered a step later."""
    pool = new_pool()
    open_calls: deque[int] = deque()
    in_flight: Ask | None = None
    waited_last = 0
    steps = 40 * (lasts + batch_every)
    for step in range(steps):
        now_s = step / 1000
        if in_flight is not None:
            apply(pool, in_flight, now_s)
            pool.wanted, in_flight = 0, None
        while open_calls and open_calls[0] <= step:
            open_calls.popleft()
            pool.note_use()
            pool.free += held - held * cost_percent // 100
            pool.charged += held * cost_percent // 100
        while len(open_calls) < callers and pool.free >= held:
            pool.free -= held
            open_calls.append(step + lasts)
        if len(open_calls) < callers:
            waited_last = step
            pool.wanted = held * (callers - len(open_calls))
        if step % batch_every == 0 or pool.wanted:
            in_flight = pool.ask(pool.charged, held, now_s)
    assert waited_last < steps // 2


def test_slice_is_twice_what_was_in_use_at_once() -> None:
    pool = new_pool()
    lease(pool, 100)
    assert (pool.leased, pool.free) == (200, 100)
    pool.free -= 70
    pool.note_use()
    assert pool.ask(0, 1, 0.0).wish == 140


def test_what_was_in_use_counts_for_two_seconds() -> None:
    pool = new_pool()
    lease(pool, 100)
    pool.note_use()
    pool.free += 100
    assert pool.surplus(0.0) == 0
    pool.begin_second()
    assert pool.surplus(1.0) == 0
    pool.begin_second()
    assert pool.surplus(2.0) == 200


def test_exact_pool_gives_all_back_and_asks_for_what_is_waited_for() -> None:
    pool = new_pool()
    lease(pool, 100)
    pool.be_exact(10.0)
    pool.wanted = 120
    ask = pool.ask(0, 50, 10.0)
    assert (ask.returned, ask.need, ask.least, ask.wish) == (100, 120, 50, 0)
    apply(pool, ask, 10.0)
    pool.wanted = 0
    assert pool.surplus(10.0) == 120
    assert pool.surplus(10.0 + EXACT_S) == 0


def test_least_is_what_is_lacking_beside_the_free_lease() -> None:
    pool = new_pool()
    lease(pool, 100)
    pool.wanted = 500
    assert pool.ask(0, 130, 0.0).least == 30


def test_short_grant_makes_the_pool_exact() -> None:
    pool = new_pool()
    pool.wanted = 100
    ask = pool.ask(0, 100, 5.0)
    pool.granted(ask, Standing(99, 99, 0, 7), 5.0)
    assert (pool.is_short, pool.elsewhere, pool.exact_until_s) == (True, 7, 5.0 + EXACT_S)
