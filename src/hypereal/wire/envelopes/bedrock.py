"""Amazon Bedrock's InvokeModel around Anthropic Messages: the model and the stream are told in the path.

Sources: the API reference of Bedrock (InvokeModel; Claude's Messages: request and response) and anthropic-python 2.12.
Streams come in Amazon's frames, which `net/eventstream.py` takes off.
"""

from urllib.parse import quote

import msgspec

from hypereal.kit.dialects import Dialect
from hypereal.wire import members
from hypereal.wire.envelopes.envelope import Betas, known_betas, without
from hypereal.wire.members import Fields
from hypereal.wire.request import Request

VERSION = msgspec.Raw(b'"bedrock-2023-05-31"')


class Bedrock:
    """The envelope; see `Envelope` for what each part promises."""

    def route(self, dialect: Dialect, model: str, *, stream: bool, counts_tokens: bool) -> str:
        method = "invoke-with-response-stream" if stream else "invoke"
        return f"/model/{quote(model, safe='')}/{method}"

    def can_count(self, dialect: Dialect) -> bool:
        """Its CountTokens wants other ids than InvokeModel, and is in few regions: our own estimate is more certain."""
        return False

    def seal(
        self, request: Request, model: str, forwarded: bytes, betas: Betas, *, counts_tokens: bool
    ) -> tuple[Fields, bytes]:
        fields = without(request.fields, "model", "stream")
        fields["anthropic_version"] = VERSION
        if known := known_betas(forwarded, betas):
            fields["anthropic_beta"] = msgspec.Raw(members.encode(known))
        return fields, b""
