"""The control process's side of traces: hears of calls, makes spans of them, sends these to the operator's receiver.

Nothing waits for it: spans wait in a bounded queue, and what does not fit, or is not taken, is dropped and counted.
"""

import asyncio
import logging
import socket
from collections import deque
from pathlib import Path

import msgspec
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult

import hypereal
from hypereal.gateway import read_datagram
from hypereal.kit import log
from hypereal.serve.tracing.spans import record

SPANS_MAX = 8192
BATCH_MAX = 512
EXPORT_S = 1.0
EXPORT_S_MAX = 10.0
CLOSE_S_MAX = 2.0
DATAGRAM_BYTES_MAX = 1024 * 1024
DATAGRAMS_AT_ONCE = 64
PATH = "/v1/traces"


class Exporter:
    """From the datagrams at SOCKET_PATH to the receiver at ENDPOINT; None: the one that OTEL_EXPORTER_OTLP_… names."""

    def __init__(self, socket_path: str, endpoint: str | None) -> None:
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # it would tell of each batch; we tell once
        self._path = Path(socket_path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._receiver = OTLPSpanExporter(_traces_url(endpoint), timeout=EXPORT_S_MAX)
        self._waiting = _Waiting()
        provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
        provider.add_span_processor(self._waiting)
        self._tracer = provider.get_tracer("hypereal", hypereal.__version__)
        self._task: asyncio.Task[None] | None = None
        self._is_refused = False
        self.exported = 0
        """Spans that the receiver took."""
        self._lost = 0

    @property
    def dropped(self) -> int:
        """Spans that it did not take, or that there was no room for."""
        return self._lost + self._waiting.dropped

    def start(self) -> None:
        """Listen, and export in the background."""
        self._path.unlink(missing_ok=True)
        self._socket.bind(str(self._path))
        self._path.chmod(0o600)
        loop = asyncio.get_running_loop()
        loop.add_reader(self._socket, self._hear)
        self._task = loop.create_task(self._keep_exporting())

    async def stop(self) -> None:
        """Export what there is, for 2 s at most."""
        asyncio.get_running_loop().remove_reader(self._socket)
        self._hear()
        self._socket.close()
        self._path.unlink(missing_ok=True)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        try:
            await asyncio.wait_for(self._export(), CLOSE_S_MAX)
        except TimeoutError:
            log.get("traces").warning("spans are lost", count=len(self._waiting.spans))

    def _hear(self) -> None:
        for _ in range(DATAGRAMS_AT_ONCE):
            try:
                told = self._socket.recv(DATAGRAM_BYTES_MAX)
            except BlockingIOError:
                return
            try:
                for call in read_datagram(told):
                    record(self._tracer, call)
            except msgspec.MsgspecError as error:
                log.get("traces").error("a data process is not understood", error=str(error))

    async def _keep_exporting(self) -> None:
        while True:
            await asyncio.sleep(EXPORT_S)
            await self._export()

    async def _export(self) -> None:
        """Everything that waits, in batches; the first that is refused ends it."""
        spans = self._waiting.spans
        while spans:
            batch = [spans.popleft() for _ in range(min(BATCH_MAX, len(spans)))]
            taken = await asyncio.to_thread(self._receiver.export, batch)
            is_refused = taken is not SpanExportResult.SUCCESS
            if is_refused:
                self._lost += len(batch)
            else:
                self.exported += len(batch)
            if is_refused != self._is_refused:
                tell = log.get("traces").warning if is_refused else log.get("traces").info
                tell("the receiver of traces does not take them" if is_refused else "traces are taken again")
            self._is_refused = is_refused
            if is_refused:
                return


class _Waiting(SpanProcessor):
    """Spans that are over; the newest are dropped where there are too many."""

    def __init__(self) -> None:
        self.spans: deque[ReadableSpan] = deque()
        self.dropped = 0

    def on_end(self, span: ReadableSpan) -> None:
        """For the SDK."""
        if len(self.spans) >= SPANS_MAX:
            self.dropped += 1
        else:
            self.spans.append(span)


def _resource() -> Resource:
    """Who is traced, as OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say; our own name where they do not."""
    said = Resource.create({SERVICE_VERSION: hypereal.__version__})
    is_named = not str(said.attributes[SERVICE_NAME]).startswith("unknown_service")
    return said if is_named else said.merge(Resource({SERVICE_NAME: "hypereal"}))


def _traces_url(endpoint: str | None) -> str | None:
    """ENDPOINT is the receiver's base, as in OTEL_EXPORTER_OTLP_ENDPOINT; the exporter wants the whole URL."""
    if endpoint is None:
        return None
    return endpoint if endpoint.endswith(PATH) else endpoint.rstrip("/") + PATH
