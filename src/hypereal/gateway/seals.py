"""What a cloud wants besides the caller's request: an envelope around the body, a signature or a token in the head."""

from typing import TYPE_CHECKING

import msgspec

from hypereal.gateway.access_tokens import AccessToken
from hypereal.kit import clock
from hypereal.providers import AwsCredentials, UpstreamRequest, request_for, signed_lines
from hypereal.wire import Request

if TYPE_CHECKING:
    from hypereal.gateway.routing import Way

SERVICE = "bedrock"
"""Of whose requests a signature speaks; the one service that is called."""


class Seal:
    """How one way's requests are closed. `close` makes each ready to be sent, once `is_ready`."""

    __slots__ = ("_requests", "_way", "token")

    def __init__(self, way: "Way", token: AccessToken | None) -> None:
        self._way = way
        self.token = token
        self._requests: dict[tuple[bool, bool], UpstreamRequest] = {}

    @property
    def can_count(self) -> bool:
        """Whether tokens can be counted along this way."""
        envelope = self._way.target.provider.envelope
        return envelope is None or envelope.can_count(self._way.dialect)

    @property
    def is_ready(self) -> bool:
        """Whether all is at hand that a request needs; `make_ready` where it is not."""
        return self.token is None or self.token.is_at_hand(is_suspect=self._way.target.breaker.failures > 0)

    async def make_ready(self) -> None:
        """Ordinary asyncio work. Raises UpstreamLost: then the target cannot be asked."""
        if self.token is not None:
            await self.token.get()

    def close(self, request: Request, forwarded: bytes, counts_tokens: bool) -> tuple[bytes, bytes]:
        """The body of REQUEST, and the lines for its head: those of FORWARDED that go with it, and the credential."""
        way = self._way
        provider, model = way.target.provider, way.target.model
        if provider.envelope is None:
            body = way.wire.write(request, model, way.profile)
        else:
            fields, forwarded = provider.envelope.seal(
                request, model, forwarded, provider.betas, counts_tokens=counts_tokens
            )
            body = msgspec.json.encode(fields)
        if self.token is not None:
            forwarded += b"authorization: Bearer %s\r\n" % self.token.value
        elif isinstance(provider.credentials, AwsCredentials):
            forwarded += self._signature(provider.credentials, body, request.stream, counts_tokens)
        return body, forwarded

    def _signature(self, credentials: AwsCredentials, body: bytes, stream: bool, counts_tokens: bool) -> bytes:
        request = self._requests.get((stream, counts_tokens))
        if request is None:
            target, dialect = self._way.target, self._way.dialect
            request = self._requests[stream, counts_tokens] = request_for(
                target.provider, dialect, target.model, stream=stream, count_tokens=counts_tokens
            )
        return signed_lines(
            credentials,
            SERVICE,
            authority=request.authority.decode(),
            path=request.target.decode(),
            body=body,
            at_unix_s=clock.coarse.unix_s,
        )
