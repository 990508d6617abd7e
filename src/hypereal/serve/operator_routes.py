"""What operators and their machines ask: `/healthz`, `/readyz`, `/metrics`."""

import hmac
import ipaddress
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from hypereal.gateway import BOUNDS_S, Snapshot
from hypereal.jobs import Depth, depths
from hypereal.kit.db import UNREACHABLE, Database, in_time
from hypereal.kit.errors import PermissionDenied
from hypereal.kit.money import MICRO_PER_CREDIT
from hypereal.kit.settings import Settings
from hypereal.ledger import SpoolFigures
from hypereal.serve import migrate
from hypereal.serve.child import ProcessSpec
from hypereal.serve.snapshots import read_snapshots


class OperatorRoutes:
    """The routes, and what they need."""

    def __init__(
        self,
        spec: ProcessSpec,
        settings: Settings,
        database: Database,
        dropped: Callable[[], dict[str, int]] = dict,
    ) -> None:
        self._dropped = dropped
        """What the control process has lost so far, by what it is: 'bodies' and 'spans', where it takes any."""
        self._run_dir = Path(spec.run_dir)
        self._database_url = spec.database_url
        self._workers = settings.server.workers
        self._metrics_token = settings.server.metrics_token
        self._database = database

    async def healthz(self, _: Request) -> Response:
        """GET /healthz: this process answers."""
        return JSONResponse({"status": "ok"})

    async def readyz(self, _: Request) -> Response:
        """GET /readyz: 200 when calls can be served, else 503 and what is missing."""
        try:
            is_current = await in_time(migrate.is_current(self._database_url))
            database, migrations = "ok", "ok" if is_current else "not at the newest revision"
        except UNREACHABLE:
            database, migrations = "unreachable", "unknown"
        snapshots = read_snapshots(self._run_dir)
        alive = len(snapshots)
        processes = "ok" if alive >= self._workers else f"{alive} of {self._workers} data processes report"
        checks = {"database": database, "migrations": migrations, "data_processes": processes}
        ready = all(state == "ok" for state in checks.values())
        # What is settled is billed from memory then: to be seen, and no reason to send callers elsewhere.
        lost = [f"{one.process}: {one.spool.state}" for one in snapshots if one.spool.state != "ok"]
        checks["spool"] = ", ".join(lost) or "ok"
        return JSONResponse({"status": "ok" if ready else "not ready", **checks}, 200 if ready else 503)

    async def metrics(self, request: Request) -> Response:
        """GET /metrics, in Prometheus' text format: from this machine, or with the token of the settings."""
        if not (_is_loopback(request.headers.get("x-forwarded-for", "")) or self._has_token(request)):
            raise PermissionDenied("Metrics are for this machine, or for who has server.metrics_token.")
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Collector(read_snapshots(self._run_dir), await self._depths(), self._dropped()))
        return Response(generate_latest(registry), media_type="text/plain; version=0.0.4")

    async def _depths(self) -> list[Depth]:
        """Of the queue; empty while the database is away, as the other figures must be told all the same."""
        try:
            return await in_time(depths(self._database))
        except UNREACHABLE:
            return []

    def _has_token(self, request: Request) -> bool:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        token = self._metrics_token
        return (
            bool(token) and scheme.lower() == "bearer" and hmac.compare_digest(given.encode(), (token or "").encode())
        )


class _Collector:
    """Snapshots and the queue as metric families."""

    def __init__(self, snapshots: list[Snapshot], queue: list[Depth], dropped: dict[str, int]) -> None:
        self._snapshots = snapshots
        self._dropped = dropped
        self._queue = queue

    def collect(self) -> Iterator[Metric]:
        """For the registry."""
        for name, help_text in _GAUGES.items():
            gauge = GaugeMetricFamily(f"hypereal_{name}", help_text, labels=["process"])
            for snapshot in self._snapshots:
                gauge.add_metric([snapshot.process], getattr(snapshot, name))
            yield gauge
        for name, (help_text, of) in _SPOOL.items():
            gauge = GaugeMetricFamily(f"hypereal_spool_{name}", help_text, labels=["process"])
            for snapshot in self._snapshots:
                gauge.add_metric([snapshot.process], of(snapshot.spool))
            yield gauge
        dropped = CounterMetricFamily(
            "hypereal_conversations_dropped",
            "Conversations that should have been kept and were lost.",
            labels=["process"],
        )
        for snapshot in self._snapshots:
            dropped.add_metric([snapshot.process], snapshot.conversations_dropped)
        yield dropped
        yield from _targets(self._snapshots)
        yield from _calls(self._snapshots)
        yield from _jobs(self._queue)
        if "bodies" in self._dropped:
            yield _bodies(self._snapshots, self._dropped["bodies"])
        if "spans" in self._dropped:
            yield from _traces(self._snapshots, self._dropped["spans"])

    def describe(self) -> Iterable[Metric]:
        """Nothing: families appear with their first call."""
        return ()


_GAUGES = {
    "connections": "Open client connections.",
    "calls_open": "Calls whose answer is not whole yet.",
    "body_bytes": "Bytes of request bodies held.",
    "unsettled": "Settled calls that the database does not know yet.",
}
_SPOOL: dict[str, tuple[str, Callable[[SpoolFigures], float]]] = {
    "writable": ("1 while what is settled is written to the spool; 0: billed from memory.", lambda s: s.state == "ok"),
    "waiting_bytes": ("Written to the spool, and not acknowledged by the database.", lambda s: s.waiting_bytes),
    "segments": ("Files of the spool.", lambda s: s.segments),
    "acked_age_seconds": ("Since the database last acknowledged a batch.", lambda s: s.acked_age_s),
    "quarantined": ("Damaged files of spools that were moved aside.", lambda s: s.quarantined),
}
_COUNTERS = {
    "input_tokens": "Input tokens that were not cached.",
    "cache_read_tokens": "Input tokens read from a cache.",
    "cache_write_tokens": "Input tokens written to a cache.",
    "output_tokens": "Output tokens, reasoning included.",
    "estimated": "Calls whose usage was counted here because the upstream did not say.",
}
_CREDITS = {"charged": "Credits charged.", "written_off": "Credits of cost that no wallet met."}
_LABELS = ["process", "model", "provider"]


def _jobs(queue: list[Depth]) -> Iterator[Metric]:
    jobs = GaugeMetricFamily("hypereal_jobs", "Background jobs by state.", labels=["kind", "state"])
    age = GaugeMetricFamily("hypereal_jobs_oldest_due_seconds", "How long the oldest job is due.", labels=["kind"])
    for depth in queue:
        for state in ("due", "waiting", "running", "failed"):
            jobs.add_metric([depth.kind, state], getattr(depth, state))
        age.add_metric([depth.kind], depth.oldest_due_s)
    yield from (jobs, age)


def _bodies(snapshots: list[Snapshot], dropped: int) -> Metric:
    help_text = "Calls whose bodies should have been kept and were lost."
    family = CounterMetricFamily("hypereal_bodies_dropped", help_text, labels=["process"])
    for snapshot in snapshots:
        family.add_metric([snapshot.process], snapshot.bodies_dropped)
    family.add_metric(["control"], dropped)
    return family


def _traces(snapshots: list[Snapshot], spans_dropped: int) -> Iterator[Metric]:
    calls = CounterMetricFamily("hypereal_traces_dropped", "Calls that nobody was told of.", labels=["process"])
    for snapshot in snapshots:
        calls.add_metric([snapshot.process], snapshot.traces_dropped)
    yield calls
    spans = CounterMetricFamily("hypereal_spans_dropped", "Spans that the receiver did not take, or had no room.")
    spans.add_metric([], spans_dropped)
    yield spans


def _targets(snapshots: list[Snapshot]) -> Iterator[Metric]:
    labels = ["process", "target"]
    available = GaugeMetricFamily(
        "hypereal_target_available", "1 while calls go there; 0 while its circuit breaker is open.", labels=labels
    )
    faults = CounterMetricFamily(
        "hypereal_target_faults", "Failed requests to a target, by the class of the failure.", labels=[*labels, "fault"]
    )
    for snapshot in snapshots:
        for target, health in snapshot.targets.items():
            available.add_metric([snapshot.process, target], int(health.state != "open"))
            for fault, count in health.faults.items():
                faults.add_metric([snapshot.process, target, fault], count)
    yield from (available, faults)


def _calls(snapshots: list[Snapshot]) -> Iterator[Metric]:
    calls = CounterMetricFamily("hypereal_calls", "Calls by outcome.", labels=[*_LABELS, "outcome"])
    counters = {name: CounterMetricFamily(f"hypereal_{name}", text, labels=_LABELS) for name, text in _COUNTERS.items()}
    money = {
        name: CounterMetricFamily(f"hypereal_credits_{name}", text, labels=_LABELS) for name, text in _CREDITS.items()
    }
    first = HistogramMetricFamily("hypereal_first_byte_seconds", "Time to the upstream's first byte.", labels=_LABELS)
    whole = HistogramMetricFamily("hypereal_call_seconds", "Time to the last byte.", labels=_LABELS)
    for snapshot in snapshots:
        for meter in snapshot.meters:
            labels = [snapshot.process, meter.model, meter.provider]
            for outcome, count in meter.calls.items():
                calls.add_metric([*labels, outcome], count)
            for name, family in counters.items():
                family.add_metric(labels, getattr(meter, name))
            for name, family in money.items():
                family.add_metric(labels, getattr(meter, name) / MICRO_PER_CREDIT)
            _add_histogram(first, labels, meter.first_byte_buckets, meter.first_byte_s)
            _add_histogram(whole, labels, meter.duration_buckets, meter.duration_s)
    yield from (calls, *counters.values(), *money.values(), first, whole)


def _add_histogram(family: HistogramMetricFamily, labels: list[str], buckets: list[int], total_s: float) -> None:
    so_far = 0
    cumulative: list[tuple[str, float]] = []
    for bound, count in zip((*BOUNDS_S, None), buckets, strict=True):
        so_far += count
        cumulative.append(("+Inf" if bound is None else str(bound), so_far))
    family.add_metric(labels, cumulative, total_s)


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
