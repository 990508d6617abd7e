"""What callers are told who get no credit."""

from hypereal.kit.clock import next_month_start, utc_now
from hypereal.kit.errors import HyperealError, InsufficientCredits, Overloaded, SpendingLimitReached
from hypereal.kit.money import Micro, credits
from hypereal.ledger.pools import Pool


def below_least_balance(wallet: Pool, balance_min: Micro) -> InsufficientCredits:
    """WALLET's balance is under what any call needs."""
    return InsufficientCredits(
        f"The balance of {credits(wallet.balance or 0)} credits is below the least that a call needs, "
        f"{credits(balance_min)} credits. Top up to go on."
    )


def ended() -> InsufficientCredits:
    """A hold was to grow that is no more."""
    return InsufficientCredits("The hold had ended before it could grow.")


def overloaded() -> Overloaded:
    """Nobody can tell now."""
    return Overloaded("The ledger cannot be reached at the moment. Nothing was charged; please try again.")


def lacking(pool: Pool, amount: int) -> HyperealError:
    """POOL has not AMOUNT: a wallet, or a key's month."""
    if pool.limit is None:
        available = max(0, pool.free + pool.unleased)
        return InsufficientCredits(
            f"This call may cost up to {credits(amount)} credits, but only {credits(available)} are available. "
            "Top up, or ask for fewer tokens."
        )
    resets_at = next_month_start(utc_now())
    return SpendingLimitReached(
        f"This key's limit of {credits(pool.limit)} credits a month does not allow this call. "
        f"It resets at {resets_at:%Y-%m-%dT%H:%M:%SZ}.",
        details={"resets_at": f"{resets_at:%Y-%m-%dT%H:%M:%SZ}"},
    )
