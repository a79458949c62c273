"""Metrics in Prometheus's format: what the ledger tells, read when somebody asks, and HTTP.

Each application has a registry of its own; nothing is registered at import.
"""

import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from huleedu_dagster.domain.outcomes import Code, Stage
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.ledger.metrics import (
    BOUNDS_SECONDS,
    UNBOUNDED,
    Completion,
    Duplicate,
    Metric,
    MetricSum,
    Standing,
)
from huleedu_dagster.ledger.records import UploadStatus

NO_ROUTE = "none"
"""The route of requests to addresses that do not exist: they are not told apart."""

_HTTP_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily


class HeartbeatUnknownError(Exception):
    """Dagster's database cannot be asked for heartbeats."""


@dataclass(frozen=True, slots=True)
class _Told:
    """A sum that is kept in the ledger, as it is told."""

    name: str
    text: str
    label: str
    values: tuple[str, ...]


_COUNTED = {
    Metric.REJECTED: _Told(
        "essay_validation_failed",
        "Rejections that were recorded, by error code.",
        "error_code",
        tuple(Code),
    ),
    Metric.RECEIVED: _Told(
        "huleedu_uploads", "Files that were kept.", "status", tuple(UploadStatus)
    ),
    Metric.STORED_BYTES: _Told(
        "huleedu_stored_bytes", "Bytes of the files that were kept.", "", ("",)
    ),
    Metric.SUPPRESSED: _Told(
        "huleedu_duplicates_suppressed",
        "Files and requests that came again as they are, and changed nothing.",
        "kind",
        tuple(Duplicate),
    ),
}
_OBSERVED = {
    Metric.STAGE_DURATION: _Told(
        "huleedu_stage_duration_seconds",
        "How long a stage worked on an essay.",
        "stage",
        tuple(Stage),
    ),
    Metric.QUEUE_LATENCY: _Told(
        "huleedu_queue_latency_seconds",
        "From the receipt of an essay to the start of a stage.",
        "stage",
        tuple(Stage),
    ),
    Metric.BATCH_COMPLETION: _Told(
        "batch_completion_seconds",
        "From a batch's registration to its first release, or to its closing with essays missing.",
        "status",
        tuple(Completion),
    ),
}


@dataclass(frozen=True, slots=True)
class InstallationCollector(Collector):
    """What is so in the whole installation, whichever process is asked.

    Attributes:
        ledger: Where facts are.
        home: The home folder, whose disk is looked at.
        heartbeat_age: Age of the daemon's oldest heartbeat, seconds, infinite if there is none;
            raises `HeartbeatUnknownError`.
    """

    ledger: Ledger
    home: Path
    heartbeat_age: Callable[[], float]

    def collect(self) -> Iterator[_Family]:
        """Ask for everything, all of the ledger in one view.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: The ledger cannot be reached.
            OSError: The home cannot be looked at.
        """
        with self.ledger.read() as tx:
            sums, standing, now = tx.metrics.sums(), tx.metrics.standing(), tx.now
        yield from _of_sums(sums)
        oldest = standing.oldest_pending_at
        age = 0.0 if oldest is None else max((now - oldest).total_seconds(), 0.0)
        yield from _of_standing(standing, age)
        yield from self._of_daemon()
        disk = shutil.disk_usage(self.home)
        yield _gauge("huleedu_disk_free_bytes", "Free on the disk of the home folder.", disk.free)
        yield _gauge("huleedu_disk_size_bytes", "Size of the disk of the home.", disk.total)

    def describe(self) -> Iterable[_Family]:
        """Nothing beforehand: the ledger is asked when metrics are, and not before."""
        return ()

    def _of_daemon(self) -> Iterator[_Family]:
        known = 1
        try:
            yield _gauge(
                "huleedu_daemon_heartbeat_age_seconds",
                "Age of the oldest heartbeat of Dagster's daemon; infinite if it has none.",
                self.heartbeat_age(),
            )
        except HeartbeatUnknownError:
            known = 0
        text = "Whether Dagster's database could be asked for heartbeats."
        yield _gauge("huleedu_dagster_database_up", text, known)


@dataclass(frozen=True, slots=True)
class Metrics:
    """The metrics of one application.

    Attributes:
        requests: Requests that were answered, by method, route and status.
        latency: How long they took until the answer began, by method and route.
    """

    requests: Counter
    latency: Histogram
    _registry: CollectorRegistry = field(repr=False)

    @classmethod
    def of(cls, installation: InstallationCollector | None) -> "Metrics":
        """Metrics in a registry of their own.

        Args:
            installation: What the ledger tells; `None` leaves it out.
        """
        # Each series would come a second time, with the moment of its beginning.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        registry = CollectorRegistry()
        if installation is not None:
            registry.register(installation)
        ProcessCollector(registry=registry)
        return cls(
            requests=Counter(
                "requests",
                "Requests that were answered.",
                ("method", "route", "status"),
                registry=registry,
            ),
            latency=Histogram(
                "request_latency_seconds",
                "From a request to the beginning of its answer.",
                ("method", "route"),
                buckets=_HTTP_SECONDS,
                registry=registry,
            ),
            _registry=registry,
        )

    def told(self, accept: str) -> tuple[bytes, str]:
        """All metrics as text, and its media type.

        Args:
            accept: What the client takes, as in its header; Prometheus's own format else.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: The ledger cannot be reached.
            OSError: The home cannot be looked at.
        """
        try:
            encode, media_type = choose_encoder(accept)
        except (TypeError, ValueError):
            # A version that is no number.
            encode, media_type = choose_encoder("")
        return encode(self._registry), media_type


class Stopwatch:
    """Counts one request when its answer begins."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._started = time.perf_counter()

    def stop(self, method: str, route: str, status: str) -> None:
        """Count it."""
        self._metrics.requests.labels(method, route, status).inc()
        seconds = time.perf_counter() - self._started
        self._metrics.latency.labels(method, route).observe(seconds)


def _of_sums(sums: Iterable[MetricSum]) -> Iterator[_Family]:
    by_label: dict[tuple[Metric, str], dict[int, MetricSum]] = {}
    for it in sums:
        by_label.setdefault((it.metric, it.label), {})[it.bound_ms] = it
    for metric, told in _COUNTED.items():
        counter = CounterMetricFamily(told.name, told.text, labels=_labels(told))
        # Those that never happened, too: of what begins with 1, no increase can be seen.
        for value in told.values:
            total = sum(it.total for it in by_label.get((metric, value), {}).values())
            counter.add_metric([value] if told.label else [], total)
        yield counter
    for metric, told in _OBSERVED.items():
        histogram = HistogramMetricFamily(told.name, told.text, labels=_labels(told))
        for value in told.values:
            found = by_label.get((metric, value), {})
            buckets = _cumulative(BOUNDS_SECONDS[metric], found)
            histogram.add_metric([value], buckets, sum(it.total for it in found.values()))
        yield histogram


def _labels(told: _Told) -> list[str]:
    return [told.label] if told.label else []


def _cumulative(bounds: Iterable[float], found: dict[int, MetricSum]) -> list[Any]:
    everything = sum(it.observations for it in found.values())
    buckets: list[tuple[str, float]] = []
    for bound in bounds:
        ms = round(bound * 1000)
        below = sum(it.observations for it in found.values() if UNBOUNDED < it.bound_ms <= ms)
        buckets.append((str(float(bound)), below))
    return [*buckets, ("+Inf", everything)]


def _of_standing(standing: Standing, oldest_age: float) -> Iterator[_Family]:
    essays = GaugeMetricFamily(
        "huleedu_essays", "Essays that have a slot, by where they stand.", labels=["state"]
    )
    for state, number in standing.essays.items():
        essays.add_metric([state.value], number)
    yield essays
    overdue = GaugeMetricFamily(
        "huleedu_incomplete_batches_past_deadline",
        "Batches past their deadline or timeout: still open, or closed with essays missing.",
        labels=["state"],
    )
    overdue.add_metric(["open"], standing.open_past_deadline)
    overdue.add_metric(["closed"], standing.closed_incomplete)
    yield overdue
    yield _gauge(
        "huleedu_oldest_unprocessed_seconds",
        "How long the essay waits that waits longest for its outcome; 0 when none waits.",
        oldest_age,
    )
    letters = CounterMetricFamily("dlq_messages", "Dead letters that were written.")
    letters.add_metric([], standing.dead_letters)
    yield letters
    yield _gauge(
        "huleedu_dead_letters_open",
        "Dead letters that wait for an operator.",
        standing.open_dead_letters,
    )
    yield _gauge(
        "huleedu_relay_dead_letters_open",
        "Events that a relay could not deliver and went past.",
        standing.open_relay_letters,
    )


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)
