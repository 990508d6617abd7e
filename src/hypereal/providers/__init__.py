"""Where calls are sent: every upstream as a row of data, with its address, credential and dialects."""

from hypereal.providers.loading import LOCAL, load
from hypereal.providers.provider import Auth, Provider, UpstreamRequest, request_for

__all__ = ["LOCAL", "Auth", "Provider", "UpstreamRequest", "load", "request_for"]
