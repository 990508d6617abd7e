"""Access tokens of service accounts: asked for once, shared by all calls of a process, renewed before their end."""

import asyncio
import random
import time
from typing import TYPE_CHECKING

import msgspec

from hypereal.kit import clock, log
from hypereal.net import UpstreamLost, exchange
from hypereal.providers import ServiceAccount, request_to, token_request
from hypereal.wire import upstream_error

if TYPE_CHECKING:
    from hypereal.gateway.routing import Pools

ASK_S_MAX = 10.0
"""How long the answer may take, besides the connecting."""
RETRY_S = 5.0
"""After a failure nobody asks for so long."""
LIFE_S_MAX = 86_400
ENDS_EARLY_S = 10.0
"""A token is not used so shortly before its end, for clocks and for the way."""
RENEW_S = 300.0
"""Calls of the last minutes of a token use it still, while the next one is asked for."""
SUSPECT_S = 60.0
"""A token older than that is renewed where its target fails: it may have been taken back."""


class _Answer(msgspec.Struct):
    access_token: str
    expires_in: int


_answer = msgspec.json.Decoder(_Answer)


class AccessToken:
    """The token of one account. Times are seconds since boot, so that none outlives a machine's sleep."""

    def __init__(self, account: ServiceAccount, pools: "Pools") -> None:
        self._account = account
        self._pools = pools
        self._value = b""
        self._asked_s = 0.0
        self._renew_s = 0.0
        self._ends_s = 0.0
        self._retry_s = 0.0
        self._failure = ""
        self._asking: asyncio.Task[None] | None = None

    @property
    def value(self) -> bytes:
        """As it stands after 'Bearer '. Only while `is_at_hand`."""
        return self._value

    def is_at_hand(self, *, is_suspect: bool = False) -> bool:
        """Whether there is one to use; the next is asked for in time. IS_SUSPECT: calls with it have failed."""
        now_s = clock.boottime_s()
        if now_s >= self._ends_s:
            return False
        if now_s >= self._renew_s or (is_suspect and now_s - self._asked_s >= SUSPECT_S):
            self._ask(now_s)
        return True

    async def get(self) -> None:
        """Wait until there is one. Raises UpstreamLost."""
        asking = self._ask(clock.boottime_s())
        if asking is not None:
            await asyncio.shield(asking)  # another call may wait for it too
        if clock.boottime_s() >= self._ends_s:
            raise UpstreamLost(f"no access token for {self._account.email}: {self._failure}")

    def _ask(self, now_s: float) -> asyncio.Task[None] | None:
        """The one request that is under way; None right after a failure."""
        if self._asking is None and now_s >= self._retry_s:
            self._asking = asyncio.get_running_loop().create_task(self._renew())
        return self._asking

    async def _renew(self) -> None:
        asked_s = clock.boottime_s()
        try:
            answer = await self._fetch()
        except UpstreamLost as error:
            self._failure = error.why
            self._retry_s = clock.boottime_s() + RETRY_S
            log.get("gateway").warning("no access token", account=self._account.email, why=error.why)
        else:
            life_s = float(min(answer.expires_in, LIFE_S_MAX))
            life_s -= min(ENDS_EARLY_S, life_s / 2)
            self._value = answer.access_token.encode("ascii")
            self._asked_s, self._ends_s = asked_s, asked_s + life_s
            early_s = min(RENEW_S, life_s / 2) * random.uniform(0.8, 1.0)  # processes that began together
            self._renew_s = self._ends_s - early_s
        finally:
            self._asking = None

    async def _fetch(self) -> _Answer:
        request = request_to(self._account.token_url)
        body = token_request(self._account, time.time())
        head = (
            b"POST %s HTTP/1.1\r\nhost: %s\r\ncontent-type: application/x-www-form-urlencoded\r\n"
            b"accept-encoding: identity\r\ncontent-length: %d\r\n\r\n"
        ) % (request.target or b"/", request.authority, len(body))
        status, said = await exchange(self._pools.of(request), head, body, seconds_max=ASK_S_MAX)
        if status != 200:
            raise UpstreamLost(f"status {status}: {upstream_error(status, said).message}")
        try:
            answer = _answer.decode(said)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise UpstreamLost("the answer cannot be read") from None
        token = answer.access_token
        if answer.expires_in <= 0 or not token.isascii() or not token.isprintable() or not token or " " in token:
            raise UpstreamLost("the answer holds no token")
        return answer
