"""Which prefixes of a request are worth the price of a cache write, by what a key's earlier requests have shown.

A write costs a surcharge, a read gives a discount. So a prefix is marked only once it came again: input without
repetition costs what it would cost without a cache. For repetition that does not go on there is an account per key and
model, which savings and a hundredth of all input fill and surcharges empty. While it is overdrawn, only what the cache
already holds is marked. So no traffic costs more than without a cache but for 1 %, the allowance, and two writes (a
second for each call in flight when a cache is lost).
"""

from collections.abc import Sequence

import msgspec

from hypereal.catalog import Price, price_of
from hypereal.kit.ids import KeyId
from hypereal.kit.money import Micro, credits, micro_for
from hypereal.kit.usage import Usage
from hypereal.wire import BYTES_PER_TOKEN_MOST, CacheReport, Place, Prefix

TTL_S = 300.0
"""The life of a write, renewed by each read."""
BYTES_PER_TOKEN_LEAST = 3
"""A write is taken to have no more tokens than a third of its bytes."""
ALLOWANCE_TOKENS = 32_768
"""What an account may write for nothing at its start."""
CREDIT_TOKENS_MAX = 1_048_576
"""What it may write for nothing at most, however much it saved before."""
LOSS_PERCENT = 1
"""Of what the input would cost without a cache: what may be lost for good."""
GAPS_MAX = 16
"""Beyond it both counts of a prefix are halved, so that what happens now weighs more than what was."""
ACCOUNT_PREFIXES_MAX = 4_096
PREFIXES_MAX = 131_072
"""Of all accounts, about 25 MB; beyond it the account that was idle longest forgets."""

AccountName = tuple[KeyId, str]


class _Seen(msgspec.Struct, gc=False):
    """A prefix that a request had."""

    at_s: float
    hits: int = 0
    """How often it came again within the life of a write."""
    misses: int = 0
    """How often it came again only later."""
    was_end: bool = False
    """It was a whole request: a longer one that begins with it is a conversation that grows."""
    warm_until_s: float = 0.0
    """The vendor has it until then, by what its answers said."""


class _Account(msgspec.Struct):
    """What a key may still lose with a model, in micro-credits, and the prefixes it sent, the latest last."""

    balance: int
    balance_max: int
    seen: dict[int, _Seen] = {}


class Plan(msgspec.Struct):
    """What to mark in one request. It is open until `settle`, which every plan needs once."""

    prefixes: Sequence[Prefix]
    price: Price
    at_s: float
    account: _Account
    warm_bytes: int
    """Of the prefix that is likely to be read."""
    reserved: int


class CacheEconomy:
    """The accounts of one process, in memory."""

    def __init__(self) -> None:
        self._accounts: dict[AccountName, _Account] = {}
        self._prefixes = 0

    def plan(self, name: AccountName, found: Sequence[Prefix], price: Price, now_s: float) -> Plan:
        """Which of FOUND, the prefixes of one request, shortest first, are to be marked. NOW_S is monotonic."""
        account = self._accounts.pop(name, None) or _opened(price)
        self._accounts[name] = account
        before = len(account.seen)
        chosen = []
        turn: _Seen | None = None
        warm_bytes = 0
        for prefix in found:
            seen = _again(account, prefix, turn, now_s)
            if _is_worth(seen, price):
                chosen.append(prefix)
            if seen.warm_until_s > now_s:
                warm_bytes = prefix.size_bytes
            if prefix.place is Place.TURN:
                turn = seen
        self._prefixes += len(account.seen) - before
        if self._prefixes > PREFIXES_MAX or len(account.seen) > ACCOUNT_PREFIXES_MAX:
            self._forget(account)
        if account.balance < 0 and not _earns_at_once(chosen, warm_bytes, price):
            chosen = []
        cost = _surcharge(price, _written_bytes(chosen, warm_bytes) // BYTES_PER_TOKEN_LEAST)
        account.balance -= cost
        return Plan(
            prefixes=chosen,
            price=price,
            at_s=now_s,
            account=account,
            warm_bytes=warm_bytes if chosen else 0,
            reserved=cost,
        )

    def settle(self, plan: Plan, usage: Usage | None) -> None:
        """The call of PLAN consumed USAGE; None: it was not answered, or nobody knows."""
        account = plan.account
        account.balance += plan.reserved
        plan.reserved = 0
        if usage is None:
            return
        plain = price_of(plan.price, Usage(input_tokens=usage.input_tokens_total))
        earned = plain * LOSS_PERCENT // 100 + _saved(plan.price, usage)
        account.balance = min(account.balance + earned, account.balance_max)
        is_kept = usage.cache_read_tokens + usage.cache_write_tokens > 0
        was_there = usage.cache_read_tokens * BYTES_PER_TOKEN_MOST >= plan.warm_bytes
        for prefix in plan.prefixes:
            seen = account.seen.get(prefix.digest)
            if seen is not None:
                seen.warm_until_s = plan.at_s + TTL_S if is_kept and was_there else 0.0

    def _forget(self, account: _Account) -> None:
        while len(account.seen) > ACCOUNT_PREFIXES_MAX:
            del account.seen[next(iter(account.seen))]
            self._prefixes -= 1
        while self._prefixes > PREFIXES_MAX:
            oldest = next(iter(self._accounts))
            seen = self._accounts[oldest].seen
            del seen[next(iter(seen))]
            self._prefixes -= 1
            if not seen:
                del self._accounts[oldest]


def report(usage: Usage, price: Price) -> CacheReport:
    """What the vendor's cache did for a call that consumed USAGE; what was saved is below 0 where writes cost more."""
    return CacheReport(
        read_tokens=usage.cache_read_tokens,
        written_tokens=usage.cache_write_tokens + usage.cache_write_1h_tokens,
        saved=_saved(price, usage),
    )


def report_lines(report: CacheReport) -> str:
    """REPORT as ready lines of an answer's head."""
    return (
        f"x-hypereal-cache-read-tokens: {report.read_tokens}\r\n"
        f"x-hypereal-cache-written-tokens: {report.written_tokens}\r\n"
        f"x-hypereal-cache-saved-credits: {credits(report.saved)}\r\n"
    )


def _opened(price: Price) -> _Account:
    return _Account(balance=_surcharge(price, ALLOWANCE_TOKENS), balance_max=_surcharge(price, CREDIT_TOKENS_MAX))


def _again(account: _Account, prefix: Prefix, turn: _Seen | None, now_s: float) -> _Seen:
    """What is known of PREFIX, this time counted; TURN is what is known of the turn before, where it has one."""
    seen = account.seen.pop(prefix.digest, None)
    if seen is None:
        seen = _Seen(now_s)
        if prefix.place is Place.END and turn is not None and turn.was_end:
            seen.hits, seen.misses = turn.hits, turn.misses
    elif now_s - seen.at_s < TTL_S:
        seen.hits += 1
    else:
        seen.misses += 1
    if seen.hits + seen.misses > GAPS_MAX:
        seen.hits, seen.misses = seen.hits // 2, seen.misses // 2
    seen.at_s = now_s
    seen.was_end |= prefix.place is Place.END
    account.seen[prefix.digest] = seen
    return seen


def _is_worth(seen: _Seen, price: Price) -> bool:
    """Whether a write now is likely to earn more than it costs, if the next gap is like those before."""
    surcharge, discount = price.cache_write - price.input, price.input - price.cache_read
    return seen.hits * discount > (seen.hits + seen.misses) * surcharge


def _written_bytes(chosen: Sequence[Prefix], warm_bytes: int) -> int:
    return max(0, chosen[-1].size_bytes - warm_bytes) if chosen else 0


def _earns_at_once(chosen: Sequence[Prefix], warm_bytes: int, price: Price) -> bool:
    """Whether the read of what is warm makes up for the write of the rest, within this one call."""
    surcharge, discount = price.cache_write - price.input, price.input - price.cache_read
    return _written_bytes(chosen, warm_bytes) * surcharge <= warm_bytes * discount


def _surcharge(price: Price, tokens: int) -> int:
    """What it costs more to write TOKENS than to send them."""
    return micro_for(tokens * (price.cache_write - price.input))


def _saved(price: Price, usage: Usage) -> Micro:
    """What the cache saved of the price of USAGE, less what its writes cost."""
    inputs = Usage(
        input_tokens=usage.input_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        cache_write_1h_tokens=usage.cache_write_1h_tokens,
    )
    return Micro(price_of(price, Usage(input_tokens=usage.input_tokens_total)) - price_of(price, inputs))
