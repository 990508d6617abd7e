"""Where calls are sent: every upstream as a row of data, with its address, credential and dialects."""

from hypereal.kit.sigv4 import AwsCredentials, signed_lines
from hypereal.providers.loading import LOCAL, load
from hypereal.providers.provider import AccessKeys, Auth, Provider, UpstreamRequest, request_for, request_to
from hypereal.providers.service_account import ServiceAccount, token_request

__all__ = [
    "LOCAL",
    "AccessKeys",
    "Auth",
    "AwsCredentials",
    "Provider",
    "ServiceAccount",
    "UpstreamRequest",
    "load",
    "request_for",
    "request_to",
    "signed_lines",
    "token_request",
]
