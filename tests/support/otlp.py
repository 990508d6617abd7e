"""A receiver of OpenTelemetry's traces, as an operator runs one: OTLP over HTTP, in protobuf."""

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Receiver:
    """Takes what is exported to `url`; refuses it while `refuses`."""

    def __init__(self, port: int = 0) -> None:
        self.bodies: list[bytes] = []
        """As they came, without compression."""
        self.refuses = False
        self.resource: dict[str, Any] = {}
        """Whose spans came last."""
        self._spans: list[Span] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                status = 400 if receiver.refuses else receiver.take(self.path, body)
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *arguments: object) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def take(self, path: str, body: bytes) -> int:
        """The status of one export."""
        if path != "/v1/traces":
            return 404
        told = ExportTraceServiceRequest.FromString(body)
        self.bodies.append(body)
        for resource_spans in told.resource_spans:
            self.resource = attributes(resource_spans.resource)
            for scope_spans in resource_spans.scope_spans:
                self._spans += scope_spans.spans
        return 200

    def trace_of(self, request_id: str) -> tuple[Span, list[Span]] | None:
        """The span of a call and those below it, by their beginning; None before it came."""
        for span in list(self._spans):
            if attributes(span).get("hypereal.request.id") == request_id:
                below = [one for one in list(self._spans) if one.parent_span_id == span.span_id]
                return span, sorted(below, key=lambda one: one.start_time_unix_nano)
        return None

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def attributes(of: Any) -> dict[str, Any]:
    """Those of a span or a resource, as plain values."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in of.attributes}
