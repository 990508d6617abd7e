"""Rate quotas and their headers."""
