"""Rate quotas and their headers."""

from hypereal.limits.limiter import Quota, RateLimiter

__all__ = ["Quota", "RateLimiter"]
