"""Rate quotas and their headers."""

from hypereal.limits.limiter import RateLimiter
from hypereal.limits.quota import Quota

__all__ = ["Quota", "RateLimiter"]
