"""The hand-written HTTP plane: grammar, server, upstream pool, TLS, server-sent events.

Knows no dialect and no price.
"""

from hypereal.net import sse
from hypereal.net.address import Address
from hypereal.net.bodies import budget
from hypereal.net.exchange import exchange
from hypereal.net.http1 import LAST_CHUNK, REASONS, AnswerHead, Malformed, RequestHead, chunk, dechunk, query_values
from hypereal.net.outbox import turn
from hypereal.net.pool import Pool
from hypereal.net.roles import Rewriter, UpstreamLost
from hypereal.net.server import Body, Connection
from hypereal.net.tls import client_context
from hypereal.net.upstream import Upstream

__all__ = [
    "LAST_CHUNK",
    "REASONS",
    "Address",
    "AnswerHead",
    "Body",
    "Connection",
    "Malformed",
    "Pool",
    "RequestHead",
    "Rewriter",
    "Upstream",
    "UpstreamLost",
    "budget",
    "chunk",
    "client_context",
    "dechunk",
    "exchange",
    "query_values",
    "sse",
    "turn",
]
