"""The books alone: a test plays the database by answering each batch."""

from datetime import UTC, datetime

import msgspec
import pytest
from tests.support.ledger import USAGE, Caller, usage_row

from hypereal.kit.clock import coarse
from hypereal.kit.errors import InsufficientCredits, Overloaded, SpendingLimitReached
from hypereal.kit.ids import AccountId, PoolId
from hypereal.kit.money import Micro
from hypereal.ledger import AlreadySettled, Hold, Ticket, rows
from hypereal.ledger import books as books_module
from hypereal.ledger.asks import Standing
from hypereal.ledger.batches import Batch
from hypereal.ledger.books import Books
from hypereal.ledger.spool import Spool

WALLET = PoolId("acc_ada")
ADA = Caller(owner_id=AccountId("acc_ada"))
LIMITED = Caller(owner_id=AccountId("acc_ada"), spending_limit=Micro(50))


class Clock:
    """Time that passes when the test says so; a stand-in for the module `time`."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    stopped = Clock()
    monkeypatch.setattr(books_module, "time", stopped)
    return stopped


def nothing() -> None:
    """A caller that is not there to be told."""


def new_books(balance_min: int = 0) -> Books:
    books = Books(Micro(balance_min), Spool())
    books.live_until_s = float("inf")
    return books


def answer(books: Books, balance: int = 1000, *, short_by: int = 0, elsewhere: int = 0) -> Batch:
    """Apply the next batch as a database would that grants what callers wait for, or SHORT_BY less, and no wish."""
    batch = books.batch()
    left = 0 if short_by else balance
    books.applied(
        [Standing(ask.pool.leased + max(0, ask.need - short_by), balance, left, elsewhere) for ask in batch.asks]
    )
    return batch


def ask(books: Books, amount: int, caller: Caller = ADA) -> Ticket:
    return books.hold(caller, Micro(amount), nothing)


def held(books: Books, amount: int, caller: Caller = ADA) -> Hold:
    ticket = ask(books, amount, caller)
    if ticket.is_pending:
        answer(books)
    return ticket.take()


def test_first_hold_waits_for_a_grant_and_the_next_takes_what_was_freed() -> None:
    books = new_books()
    ticket = ask(books, 100)
    assert ticket.is_pending
    answer(books)
    books.settle(ticket.take(), Micro(30), USAGE, usage_row(ADA))
    assert not ask(books, 70).is_pending
    assert ask(books, 1).is_pending


def test_nobody_overtakes_a_ticket_that_waits() -> None:
    books = new_books()
    hold = held(books, 100)
    waiting = ask(books, 150)
    books.settle(hold, Micro(0), USAGE, usage_row(ADA))
    assert ask(books, 100).is_pending
    answer(books)
    assert not waiting.is_pending


def test_wish_is_what_was_in_use_at_once_again() -> None:
    books = new_books()
    first, second = held(books, 100), held(books, 50)
    books.settle(first, Micro(30), USAGE, usage_row(ADA))
    batch = answer(books)  # 50 held, 70 free; 150 were in use at once
    assert [(a.charged, a.returned, a.need, a.wish) for a in batch.asks] == [(30, 0, 0, 180)]
    assert second.is_open
    assert not books.has_work


def test_idle_credit_goes_back_after_two_seconds(clock: Clock) -> None:
    books = new_books()
    books.sweep()
    books.settle(held(books, 100), Micro(30), USAGE, usage_row(ADA))
    answer(books)
    clock.now_s += 1
    books.sweep()
    assert not books.has_work
    clock.now_s += 1
    books.sweep()
    asked = [(a.charged, a.returned, a.wish) for a in answer(books).asks]  # is the database there?
    asked += [(a.charged, a.returned, a.wish) for a in answer(books).asks]
    assert asked == [(0, 0, 0), (0, 70, 0)]
    assert not books._pools


def test_idle_credit_stays_while_the_database_is_away(clock: Clock) -> None:
    books = new_books()
    books.sweep()
    books.settle(held(books, 100), Micro(30), USAGE, usage_row(ADA))
    answer(books)
    for _ in range(10):
        clock.now_s += 1
        books.sweep()
        books.batch()
    assert books.hold_now(ADA, Micro(70)) is not None


def test_recalled_credit_goes_back_with_the_next_batch_for_a_second(clock: Clock) -> None:
    books = new_books()
    books.settle(held(books, 100), Micro(0), USAGE, usage_row(ADA))
    answer(books)
    assert books.recall(WALLET)
    assert [(a.returned, a.wish) for a in answer(books).asks] == [(100, 0)]
    assert not books.recall(WALLET)
    assert not books.recall(PoolId("acc_unknown"))
    books.settle(held(books, 100), Micro(30), USAGE, usage_row(ADA))
    assert [(a.charged, a.returned, a.wish) for a in answer(books).asks] == [(30, 70, 0)]
    clock.now_s += 1
    ask(books, 10)
    assert [(a.need, a.wish) for a in answer(books).asks] == [(10, 190)]


def test_ticket_waits_a_while_for_what_other_processes_give_back(clock: Clock) -> None:
    books = new_books()
    given, refused = ask(books, 100), ask(books, 300)
    answer(books, short_by=400, elsewhere=500)
    assert (given.is_pending, refused.is_pending, books.has_waiting) == (True, True, False)
    clock.now_s += books_module.RECALL_S
    batch = answer(books, short_by=300, elsewhere=400)
    assert [(a.need, a.least) for a in batch.asks] == [(400, 100)]
    assert (given.error, refused.is_pending) == (None, True)
    clock.now_s += books_module.RECALL_S_MAX
    answer(books, short_by=300, elsewhere=400)
    with pytest.raises(InsufficientCredits):
        refused.take()


def test_ticket_is_taken_once() -> None:
    ticket = ask(new_books(), 100)
    with pytest.raises(RuntimeError, match="taken before"):
        ticket.take()  # pending still

    books = new_books()
    ticket = ask(books, 100)
    answer(books)
    ticket.take()
    with pytest.raises(RuntimeError, match="taken before"):
        ticket.take()


def test_ticket_does_not_wait_where_no_other_process_leases() -> None:
    books = new_books()
    ticket = ask(books, 100)
    answer(books, short_by=1, elsewhere=0)
    with pytest.raises(InsufficientCredits):
        ticket.take()


def test_credit_that_is_too_little_for_who_waits_goes_back_meanwhile(clock: Clock) -> None:
    books = new_books()
    first, second = ask(books, 100), ask(books, 100)
    answer(books, short_by=40, elsewhere=500)
    assert (first.error, second.is_pending) == (None, True)
    assert [(a.returned, a.need, a.least) for a in books.batch().asks] == [(60, 100, 100)]


def test_pool_in_flight_is_not_forgotten(clock: Clock) -> None:
    books = new_books()
    books.cancel(ask(books, 100))
    books.batch()
    clock.now_s += 2
    books.sweep()
    books.applied([Standing(50, 1000, 900, 0)])
    assert books._pools[WALLET].free == 50


def test_second_settle_is_an_error_that_changes_nothing() -> None:
    books = new_books()
    hold = held(books, 100)
    books.settle(hold, Micro(30), USAGE, usage_row(ADA))
    with pytest.raises(AlreadySettled):
        books.settle(hold, Micro(30), USAGE, usage_row(ADA))
    batch = answer(books)
    assert [a.charged for a in batch.asks] == [30]
    assert books._pools[WALLET].free == 70
    assert len(batch.lines) == 1


def test_cost_over_the_hold_takes_free_credit_and_the_rest_is_written_off() -> None:
    books = new_books()
    first, second = held(books, 100), held(books, 100)
    books.settle(first, Micro(40), USAGE, usage_row(ADA))
    settlement = books.settle(second, Micro(200), USAGE, usage_row(ADA))
    assert (settlement.charged, settlement.written_off) == (160, 40)


def test_texts_that_cannot_be_written_cost_a_row_nothing_but_themselves() -> None:
    books = new_books()
    books.settle(held(books, 100), Micro(30), USAGE, usage_row(ADA, end_user="\ud800", status=200))
    [line] = answer(books).lines
    told = msgspec.json.decode(line.record)
    assert (told["charged"], told["status"]) == (30, 200)
    assert "end_user" not in told


def test_settled_calls_are_in_the_journal_once_written_down_and_in_their_order() -> None:
    journal = Spool()
    books = Books(Micro(0), journal)
    books.live_until_s = float("inf")
    holds = [held(books, 10) for _ in range(3)]
    began = journal.position
    rows_ = [usage_row(ADA) for _ in holds]
    for hold, row in zip(holds, rows_, strict=True):
        books.settle(hold, Micro(1), USAGE, row)
    assert (journal.position, books.lines_waiting, books.has_work) == (began, 3, True)
    books.write_down()
    end = journal.position
    books.write_down()
    assert journal.position == end > began
    lines = answer(books).lines
    assert [msgspec.json.decode(line.record)["request_id"] for line in lines] == [r.details.request_id for r in rows_]
    assert sorted(line.end for line in lines) == [line.end for line in lines]
    assert lines[-1].end == end


def test_batch_has_what_was_settled_and_not_written_down_yet() -> None:
    books = new_books()
    books.settle(held(books, 100), Micro(30), USAGE, usage_row(ADA))
    batch = answer(books)
    assert [a.charged for a in batch.asks] == [30]
    assert len(batch.lines) == 1


def test_what_was_settled_under_the_former_number_goes_to_its_journal() -> None:
    former, journal = Spool(), Spool()
    books = Books(Micro(0), former)
    books.live_until_s = float("inf")
    books.settle(held(books, 100), Micro(30), USAGE, usage_row(ADA))
    began = former.position
    books.begin(journal)
    assert former.position > began


def test_absurd_cost_is_bounded() -> None:
    books = new_books()
    settlement = books.settle(held(books, 100), Micro(10**30), USAGE, usage_row(ADA))
    assert settlement.written_off + settlement.charged == books_module.COST_MAX


def test_cancelled_ticket_frees_what_it_would_be_given() -> None:
    books = new_books()
    ticket = ask(books, 100)
    batch = books.batch()
    books.cancel(ticket)
    assert books.applied([Standing(100, 1000, 900, 0)]) == []
    assert books.recall(WALLET)
    assert [(a.returned, a.need) for a in books.batch().asks] == [(100, 0)]
    assert batch.tickets == [ticket]


def test_cancelled_ticket_frees_what_it_was_given() -> None:
    books = new_books()
    ticket = ask(books, 100)
    answer(books)
    books.cancel(ticket)
    assert books.recall(WALLET)
    assert [(a.returned, a.need) for a in books.batch().asks] == [(100, 0)]


def test_cancel_after_take_changes_nothing() -> None:
    books = new_books()
    ticket = ask(books, 100)
    answer(books)
    hold = ticket.take()
    books.cancel(ticket)
    assert books.settle(hold, Micro(100), USAGE, usage_row(ADA)).charged == 100


def test_hold_that_does_not_fit_is_refused_and_says_what_is_there() -> None:
    books = new_books()
    ticket = ask(books, 2_000_000)
    answer(books, short_by=500_000)
    with pytest.raises(InsufficientCredits, match=r"up to 2 credits, but only 1\.5 are available"):
        ticket.take()


def test_small_ticket_is_served_from_what_a_refused_one_was_granted() -> None:
    books = new_books()
    large, small = ask(books, 1000), ask(books, 10)
    answer(books, short_by=500)
    assert (large.error is not None, small.error) == (True, None)


def test_balance_below_the_least_refuses_a_hold_but_not_a_growth() -> None:
    books = new_books(balance_min=200)
    ticket = ask(books, 10)
    answer(books, balance=200)
    hold = ticket.take()
    refused = ask(books, 10)
    growth = books.grow(hold, Micro(10), nothing)
    answer(books, balance=199)
    with pytest.raises(InsufficientCredits, match="below the least"):
        refused.take()
    assert growth.take() is hold
    assert hold.amount == 20


def test_key_with_a_limit_holds_from_its_month_too() -> None:
    books = new_books()
    hold = held(books, 10, LIMITED)
    month = f"{datetime.now(UTC):%Y-%m}"
    assert [pool.id for pool in hold.pools] == ["acc_ada", f"key_1/{month}"]
    books.settle(hold, Micro(4), USAGE, usage_row(LIMITED))
    assert [a.charged for a in books.batch().asks] == [4, 4]


def test_month_that_is_used_up_is_named_with_its_end() -> None:
    books = new_books()
    ticket = ask(books, 60, LIMITED)
    batch = books.batch()
    books.applied([Standing(60, 1000, 940, 0), Standing(50, 50, 0, 0)])
    with pytest.raises(SpendingLimitReached, match=r"resets at \d{4}-\d\d-01T00:00:00Z") as refusal:
        ticket.take()
    assert refusal.value.details["resets_at"]
    assert [limit for *_, limit in batch.limits] == [50]


def test_month_of_a_hold_is_that_of_its_start(monkeypatch: pytest.MonkeyPatch) -> None:
    books = new_books()
    january = datetime(2027, 1, 31, 23, 59, 59, tzinfo=UTC)
    february = datetime(2027, 2, 1, 0, 0, 1, tzinfo=UTC)
    for now, expected in ((january, "key_1/2027-01"), (february, "key_1/2027-02")):
        monkeypatch.setattr(books_module, "utc_now", lambda now=now: now)
        monkeypatch.setattr(coarse, "unix_s", now.timestamp())
        assert held(books, 1, LIMITED).pools[1].id == expected


def test_changed_limit_is_sent_before_anything_more_is_held() -> None:
    books = new_books()
    books.settle(held(books, 10, LIMITED), Micro(0), USAGE, usage_row(LIMITED))
    lowered = Caller(owner_id=LIMITED.owner_id, spending_limit=Micro(5))
    assert ask(books, 1, lowered).is_pending
    batch = books.batch()
    assert [limit for *_, limit in batch.limits] == [5]
    assert [(a.returned, a.need) for a in batch.asks] == [(0, 0), (10, 1)]  # what was leased under the old limit


def test_growth_is_refused_with_the_hold_left_as_it_was() -> None:
    books = new_books()
    hold = held(books, 100)
    growth = books.grow(hold, Micro(50), nothing)
    answer(books, short_by=50)
    with pytest.raises(InsufficientCredits):
        growth.take()
    assert books.settle(hold, Micro(100), USAGE, usage_row(ADA)).charged == 100


def test_growth_of_a_hold_that_ended_meanwhile_goes_back() -> None:
    books = new_books()
    hold = held(books, 100)
    books.grow(hold, Micro(50), nothing)
    books.settle(hold, Micro(100), USAGE, usage_row(ADA))
    answer(books)
    assert books.recall(WALLET)
    assert [(a.charged, a.returned) for a in books.batch().asks] == [(0, 50)]


def test_stale_lease_is_not_spent() -> None:
    books = new_books()
    books.settle(held(books, 100), Micro(0), USAGE, usage_row(ADA))
    books.live_until_s = 0.0
    assert ask(books, 10).is_pending


def test_ticket_gives_up_after_its_time() -> None:
    books = new_books()
    ticket = ask(books, 100)
    books.batch()
    queued = ask(books, 100)
    assert books.refuse_waiting(float("inf")) == [ticket, queued]
    with pytest.raises(Overloaded):
        ticket.take()
    assert books.applied([Standing(100, 1000, 900, 0)]) == []
    assert books.recall(WALLET)
    assert [(a.returned, a.need) for a in books.batch().asks] == [(100, 0)]


def test_full_books_take_no_call_and_drop_rows_of_calls_that_cost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books_module, "ROWS_MAX", 2)
    books = new_books()
    for _ in range(3):
        books.record(usage_row(ADA))
    assert books.rows_dropped == 1
    with pytest.raises(Overloaded):
        ask(books, 1).take()


def test_a_charge_travels_with_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    books = new_books()
    holds = [held(books, 10) for _ in range(3)]
    monkeypatch.setattr(books_module, "ROWS_PER_BATCH", 2)
    for hold, cost in zip(holds, (1, 2, 4), strict=True):
        books.settle(hold, Micro(cost), USAGE, usage_row(ADA))
    first, second = answer(books), answer(books)
    assert [a.charged for a in first.asks] == [3]
    assert [a.charged for a in second.asks] == [4]
    assert books._pools[WALLET].free == 23
    assert (len(first.lines), len(second.lines)) == (2, 1)


def test_process_with_another_number_begins_with_nothing_and_settles_late_what_no_disk_has() -> None:
    books = new_books()
    open_hold, settled, late = held(books, 100), held(books, 100), held(books, 100)
    books.settle(settled, Micro(60), USAGE, usage_row(ADA))
    books.batch()
    waiting = ask(books, 50)
    books.settle(late, Micro(30), USAGE, usage_row(ADA))
    books.begin(Spool())
    books.live_until_s = float("inf")
    batch = answer(books)
    assert [(rows.read(line.record).cost, line.is_late) for line in batch.lines] == [(60, True), (30, True)]
    assert [(a.charged, a.returned, a.need) for a in batch.asks] == [(0, 0, 50)]
    assert waiting.take().amount == 50
    assert books.settle(open_hold, Micro(70), USAGE, usage_row(ADA)).charged == 70  # at most: the database decides
    [line] = books.batch().lines
    assert (line.is_late, line.charged, rows.read(line.record).cost) == (True, 0, 70)


def test_batches_lead_from_one_position_to_the_next() -> None:
    books = new_books()
    hold = held(books, 100)
    books.settle(hold, Micro(60), USAGE, usage_row(ADA))
    first, second = answer(books), answer(books)
    assert first.start < first.end == second.start < second.end
    assert (len(first.lines), second.lines) == (1, [])


def test_ticket_whose_credit_a_settle_took_asks_again() -> None:
    books = new_books()
    first, second = held(books, 100), held(books, 100)
    books.settle(first, Micro(50), USAGE, usage_row(ADA))
    waiting = ask(books, 60)
    books.batch()
    books.settle(second, Micro(150), USAGE, usage_row(ADA))
    answer(books)
    assert waiting.is_pending
    answer(books)
    assert waiting.take().amount == 60


def test_batch_is_the_same_until_it_is_applied() -> None:
    books = new_books()
    ask(books, 10)
    first = books.batch()
    ask(books, 20)
    assert books.batch() is first
    assert books.has_waiting


def test_idle_pool_is_forgotten() -> None:
    books = new_books()
    books.settle(held(books, 10), Micro(10), USAGE, usage_row(ADA))
    answer(books)
    assert not books._pools
