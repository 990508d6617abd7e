"""Envelopes: how clouds carry the dialects of others. One module a cloud; start at `envelope.py`."""

from collections.abc import Mapping

from hypereal.wire.envelopes.bedrock import Bedrock
from hypereal.wire.envelopes.envelope import Betas, Envelope
from hypereal.wire.envelopes.vertex import Vertex

ENVELOPES: Mapping[str, Envelope] = {"bedrock": Bedrock(), "vertex": Vertex()}

__all__ = ["ENVELOPES", "Betas", "Envelope"]
