"""Google Vertex AI: Claude behind `rawPredict`, and Gemini as Google has it but for the path.

Sources: Google's page on requests to Claude, anthropic-python 2.12 and google-genai 3.4. The base path names project,
location and publisher.
"""

from urllib.parse import quote

import msgspec

from hypereal.kit.dialects import Dialect
from hypereal.wire.envelopes.envelope import BETA, Betas, known_betas, without
from hypereal.wire.members import Fields, encode
from hypereal.wire.request import Request

VERSION = msgspec.Raw(b'"vertex-2023-10-16"')


class Vertex:
    """The envelope; see `Envelope` for what each part promises."""

    def route(self, dialect: Dialect, model: str, *, stream: bool, counts_tokens: bool) -> str:
        if dialect is Dialect.GEMINI:
            method = "streamGenerateContent?alt=sse" if stream else "generateContent"
            return f"/models/{quote(model, safe='@')}:{'countTokens' if counts_tokens else method}"
        if counts_tokens:
            return "/models/count-tokens:rawPredict"
        return f"/models/{quote(model, safe='@')}:{'streamRawPredict' if stream else 'rawPredict'}"

    def can_count(self, dialect: Dialect) -> bool:
        return True

    def seal(
        self, request: Request, model: str, forwarded: bytes, betas: Betas, *, counts_tokens: bool
    ) -> tuple[Fields, bytes]:
        if request.dialect is Dialect.GEMINI:
            return request.fields, forwarded
        fields = without(request.fields, "model")
        fields["anthropic_version"] = VERSION
        if counts_tokens:  # the one route that reads the model from the body; it knows next to no beta
            fields["model"] = msgspec.Raw(encode(model))
            return fields, b""
        known = ",".join(known_betas(forwarded, betas))
        return fields, b"%s: %s\r\n" % (BETA, known.encode("latin-1")) if known else b""
