"""The HTTP of the local provider: the queue and the caller's dialect, before the engine."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import httpx2
import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from hypereal.kit import log
from hypereal.kit.dialects import Dialect
from hypereal.kit.errors import HyperealError, MethodNotAllowed, Overloaded
from hypereal.serve.local_model import prompt
from hypereal.serve.local_model.answer import Answer
from hypereal.serve.local_model.engine import PATHS, Engine
from hypereal.serve.local_model.exchange import ClientGone, Exchange
from hypereal.serve.local_model.queue import Queue

LINE_BYTES_MAX = 4 * 1024 * 1024
TEMPLATE_TOKENS = 16
"""Kept free beside prompt and answer."""
SSE = {"content-type": "text/event-stream", "cache-control": "no-cache"}


def application(engine: Engine | None, failure: str, queue: Queue) -> Starlette:
    """The provider. Without an ENGINE every call is answered 503 with FAILURE."""

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok"} if engine else {"status": failure}, 200 if engine else 503)

    routes = [Route(path, Endpoint(engine, failure, queue, dialect)) for dialect, path in PATHS.items()]
    routes.append(Route("/v1/messages/count_tokens", Endpoint(engine, failure, queue, None)))
    return Starlette(routes=[*routes, Route("/health", health)])


class Endpoint:
    """An ASGI application for one path: calls in DIALECT, or, where that is None, counting of tokens."""

    def __init__(self, engine: Engine | None, failure: str, queue: Queue, dialect: Dialect | None) -> None:
        self._engine = engine
        self._failure = failure
        self._queue = queue
        self._dialect = dialect

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(receive, send)
        try:
            if scope["method"] != "POST":
                raise MethodNotAllowed("Only POST is served here.", headers={"allow": "POST"})
            if self._engine is None:
                raise Overloaded(self._failure, retry_after_s=30)
            if self._dialect is None:
                await self._count(exchange, self._engine)
            else:
                await self._complete(exchange, self._engine, self._dialect)
        except HyperealError as error:
            if not exchange.has_started:
                await exchange.refuse(error)
        except httpx2.HTTPError as error:  # in mid-answer: the cut tells the gateway
            log.get("local").warning("the engine broke off", error=type(error).__name__)
        except ClientGone:
            pass

    async def _count(self, exchange: Exchange, engine: Engine) -> None:
        with self._queue.counting():
            asked = prompt.read(Dialect.ANTHROPIC_MESSAGES, await exchange.body())
            await exchange.json(200, {"input_tokens": await engine.count(asked.turns)}, {})

    async def _complete(self, exchange: Exchange, engine: Engine, dialect: Dialect) -> None:
        with self._queue.place():
            asked = prompt.read(dialect, await exchange.body())
            await exchange.while_wanted(self._answer(exchange, engine, asked))

    async def _answer(self, exchange: Exchange, engine: Engine, asked: prompt.Asked) -> None:
        async with self._queue.turn:
            room = prompt.CONTEXT_TOKENS - TEMPLATE_TOKENS - asked.output_tokens_max
            turns, was_cut = await prompt.fit(asked.turns, room, engine.count)
            headers = {"x-hypereal-local-truncated": "true"} if was_cut else {}
            answer = Answer(asked)
            async with aclosing(await engine.open(asked.dialect, asked.engine_body(turns))) as reply:
                if not asked.stream:
                    await reply.aread()
                    return await exchange.json(200, answer.whole(reply.json()), headers)
                await exchange.start(200, SSE | headers)
                async for event in events(reply.aiter_raw()):
                    await exchange.write(_encode(answer.event(event)) if event else b"data: [DONE]\n\n")
                await exchange.end()


async def events(parts: AsyncIterator[bytes]) -> AsyncIterator[dict[str, Any] | None]:
    """The data of each server-sent event; None for the end mark of Chat Completions. Comments are left out."""
    rest = b""
    async for part in parts:
        *lines, rest = (rest + part).split(b"\n")
        if len(rest) > LINE_BYTES_MAX:
            raise httpx2.RemoteProtocolError("an event without end")
        for line in lines:
            if line.startswith(b"data:"):
                data = line[5:].strip()
                yield None if data == b"[DONE]" else msgspec.json.decode(data, type=dict[str, Any])


def _encode(event: dict[str, Any]) -> bytes:
    """Messages and Responses name each event by its `type`; events of Chat Completions have no name."""
    name = f"event: {event['type']}\n" if "type" in event else ""
    return f"{name}data: ".encode() + msgspec.json.encode(event) + b"\n\n"
