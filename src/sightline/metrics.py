"""Every metric in one table: name, type, unit, labels; and the functions that count.

Counting is an addition in a dictionary, a fraction of a microsecond: the pipeline answers a request in tens of them.
`prometheus_client` writes the text when somebody asks for it. A metric is counted from one thread only. Labels come
from tables of ours (routes, models, kinds), never from a request.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from sightline import __version__
from sightline.core import Usage

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Labels = tuple[str | int, ...]
_NANOS = 10**9


@dataclass(frozen=True, slots=True)
class Counter:
    """Only grows. `name` is without the `_total` that is shown."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    values: defaultdict[Labels, float] = field(default_factory=lambda: defaultdict(int))

    def add(self, labels: Labels = (), amount: float = 1) -> None:
        """Count."""
        self.values[labels] += amount

    def family(self) -> Metric:
        """As `prometheus_client` has it."""
        family = CounterMetricFamily(self.name, self.help, labels=self.labels)
        for labels, value in self.values.items():
            family.add_metric([str(label) for label in labels], value)
        return family


@dataclass(frozen=True, slots=True)
class Histogram:
    """How values are spread over buckets, each up to its bound (inclusive)."""

    name: str
    help: str
    bounds: tuple[float, ...]
    labels: tuple[str, ...] = ()
    counts: dict[Labels, list[int]] = field(default_factory=dict)
    sums: dict[Labels, float] = field(default_factory=dict)

    def observe(self, value: float, labels: Labels = ()) -> None:
        """Count a value."""
        counts = self.counts.get(labels)
        if counts is None:
            self.sums[labels] = 0.0
            counts = self.counts[labels] = [0] * (len(self.bounds) + 1)
        counts[bisect_left(self.bounds, value)] += 1
        self.sums[labels] += value

    def family(self) -> Metric:
        """As `prometheus_client` has it."""
        family = HistogramMetricFamily(self.name, self.help, labels=self.labels)
        for labels, counts in self.counts.items():
            so_far, buckets = 0, []
            for bound, count in zip((*self.bounds, float("inf")), counts, strict=True):
                so_far += count
                buckets.append(("+Inf" if bound == float("inf") else str(bound), float(so_far)))
            family.add_metric([str(label) for label in labels], buckets, self.sums[labels])
        return family


@dataclass(slots=True)
class Gauge:
    """A value that is looked up when it is asked for; left out as long as nobody says where."""

    name: str
    help: str
    read: Callable[[], float] | None = None

    def family(self) -> Metric:
        """As `prometheus_client` has it."""
        family = GaugeMetricFamily(self.name, self.help)
        if self.read is not None:
            family.add_metric([], self.read())
        return family


_ANSWER_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_COMMIT_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

requests = Counter("sightline_requests", "Requests that have ended; 499: the client left.", ("route", "status"))
request_seconds = Histogram(
    "sightline_request_duration_seconds",
    "From a request's head, when it has arrived, to its answer's last byte.",
    _ANSWER_S,
    ("route",),
)
first_token_seconds = Histogram(
    "sightline_time_to_first_token_seconds", "From admission to an answer's first piece.", _ANSWER_S, ("model",)
)
model_tokens = Counter(
    "sightline_tokens", "Tokens that were charged for; image and cached ones are among the prompt's.", ("model", "kind")
)
model_cost = Counter("sightline_cost_dollars", "What was charged, in US dollars.", ("model",))
image_bytes = Counter("sightline_image_bytes", "Bytes of images as they were sent.")
in_flight = Gauge("sightline_requests_in_flight", "Requests that run or wait now, previews too.")
waiting = Gauge("sightline_requests_waiting", "Requests that wait for an engine now.")
engine_restarts = Counter(
    "sightline_engine_restarts", "Engine processes that ended and were started again.", ("engine",)
)
ledger_seconds = Histogram(
    "sightline_ledger_write_seconds", "From asking for a row to its being durable, or refused.", _COMMIT_S
)
upstream_requests = Counter(
    "sightline_upstream_requests",
    "Requests that were sent to an upstream, by how they ended there.",
    ("upstream", "ending"),
)
upstream_ejections = Counter(
    "sightline_upstream_ejections", "Times that an upstream was left out until it answers again.", ("upstream", "why")
)
Table = Sequence[Counter | Histogram | Gauge]
ALL: Table = (
    *(requests, request_seconds, first_token_seconds, model_tokens, model_cost, image_bytes),
    *(in_flight, waiting, engine_restarts, ledger_seconds),
    *(upstream_requests, upstream_ejections),
)


def request_ended(route: str, status: int, seconds: float) -> None:
    """Count a request; `route` is the path of the URL table."""
    requests.add((route, status))
    request_seconds.observe(seconds, (route,))


def first_token(model: str, seconds: float) -> None:
    """Count how long an answer's first piece took."""
    first_token_seconds.observe(seconds, (model,))


def answered(model: str, usage: Usage, nanos: int) -> None:
    """Count what an answer used and what is charged for it; `model` is the id of one that runs here."""
    model_tokens.add((model, "prompt"), usage.prompt_tokens)
    model_tokens.add((model, "completion"), usage.completion_tokens)
    if usage.image_tokens:
        model_tokens.add((model, "image"), usage.image_tokens)
    if usage.cached_tokens:
        model_tokens.add((model, "cached"), usage.cached_tokens)
    if nanos:
        model_cost.add((model,), nanos / _NANOS)


def images_taken(size_bytes: int) -> None:
    """Count the bytes of a request's images."""
    image_bytes.add((), size_bytes)


def engine_restarted(engine: str) -> None:
    """Count an engine's process that is started again."""
    engine_restarts.add((engine,))


def upstream_answered(upstream: str, ending: str) -> None:
    """Count a request that an upstream was sent; `upstream` is its host and port in the settings."""
    upstream_requests.add((upstream, ending))


def upstream_ejected(upstream: str, why: str) -> None:
    """Count an upstream that gets no requests until it has answered again."""
    upstream_ejections.add((upstream, why))


def ledger_written(seconds: float) -> None:
    """Count how long a write to the ledger took."""
    ledger_seconds.observe(seconds)


class _Families(Collector):
    """A table of metrics, for `prometheus_client`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def collect(self) -> Iterable[Metric]:
        yield from (metric.family() for metric in self._table)
        build = GaugeMetricFamily("sightline_build_info", "Which version runs.", labels=["version"])
        build.add_metric([__version__], 1)
        yield build


def text(table: Table = ALL) -> bytes:
    """A table in the text format of Prometheus; of this process also its memory, processor time and files."""
    registry = CollectorRegistry()
    registry.register(_Families(table))
    ProcessCollector(registry=registry)
    return generate_latest(registry)
