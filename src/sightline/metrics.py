"""Every metric in one table: name, type, unit, labels; and the functions that count.

`prometheus_client` counts and writes the text. Labels come from tables of ours (routes, models, kinds), never from a
request.
"""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from sightline import __version__
from sightline.core import Usage

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_NANOS = 10**9
_ANSWER_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_COMMIT_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each, of no use here
registry = CollectorRegistry()
ProcessCollector(registry=registry)
requests = Counter(
    "sightline_requests", "Requests that have ended; 499: the client left.", ("route", "status"), registry=registry
)
request_seconds = Histogram(
    "sightline_request_duration_seconds",
    "From a request's head, when it has arrived, to its answer's last byte.",
    ("route",),
    buckets=_ANSWER_S,
    registry=registry,
)
first_token_seconds = Histogram(
    "sightline_time_to_first_token_seconds",
    "From admission to an answer's first piece.",
    ("model",),
    buckets=_ANSWER_S,
    registry=registry,
)
model_tokens = Counter(
    "sightline_tokens",
    "Tokens that were charged for; image and cached ones are among the prompt's.",
    ("model", "kind"),
    registry=registry,
)
model_cost = Counter("sightline_cost_dollars", "What was charged, in US dollars.", ("model",), registry=registry)
image_bytes = Counter("sightline_image_bytes", "Bytes of images as they were sent.", registry=registry)
in_flight = Gauge("sightline_requests_in_flight", "Requests that run or wait now, previews too.", registry=registry)
waiting = Gauge("sightline_requests_waiting", "Requests that wait for an engine now.", registry=registry)
engine_restarts = Counter(
    "sightline_engine_restarts",
    "Engine processes that ended and were started again.",
    ("engine",),
    registry=registry,
)
ledger_seconds = Histogram(
    "sightline_ledger_write_seconds",
    "From asking for a row to its being durable, or refused.",
    buckets=_COMMIT_S,
    registry=registry,
)
upstream_requests = Counter(
    "sightline_upstream_requests",
    "Requests that were sent to an upstream, by how they ended there.",
    ("upstream", "outcome"),
    registry=registry,
)
upstream_ejections = Counter(
    "sightline_upstream_ejections",
    "Times that an upstream was left out until it answers again.",
    ("upstream", "reason"),
    registry=registry,
)
Gauge("sightline_build_info", "Which version runs.", ("version",), registry=registry).labels(__version__).set(1)


def text() -> bytes:
    """All of them in the text format of Prometheus; of this process also its memory, processor time and files."""
    return generate_latest(registry)


def request_ended(route: str, status: int, seconds: float) -> None:
    """Count a request; `route` is the path of the URL table."""
    requests.labels(route, status).inc()
    request_seconds.labels(route).observe(seconds)


def first_token(model: str, seconds: float) -> None:
    """Count how long an answer's first piece took."""
    first_token_seconds.labels(model).observe(seconds)


def answered(model: str, usage: Usage, nanos: int) -> None:
    """Count what an answer used and what is charged for it; `model` is the id of one that runs here."""
    model_tokens.labels(model, "prompt").inc(usage.prompt_tokens)
    model_tokens.labels(model, "completion").inc(usage.completion_tokens)
    if usage.image_tokens:
        model_tokens.labels(model, "image").inc(usage.image_tokens)
    if usage.cached_tokens:
        model_tokens.labels(model, "cached").inc(usage.cached_tokens)
    if nanos:
        model_cost.labels(model).inc(nanos / _NANOS)


def images_taken(size_bytes: int) -> None:
    """Count the bytes of a request's images."""
    image_bytes.inc(size_bytes)


def engine_restarted(engine: str) -> None:
    """Count an engine's process that is started again."""
    engine_restarts.labels(engine).inc()


def upstream_answered(upstream: str, outcome: str) -> None:
    """Count a request that an upstream was sent; `upstream` is its host and port in the settings."""
    upstream_requests.labels(upstream, outcome).inc()


def upstream_ejected(upstream: str, reason: str) -> None:
    """Count an upstream that gets no requests until it has answered again."""
    upstream_ejections.labels(upstream, reason).inc()


def ledger_written(seconds: float) -> None:
    """Count how long a write to the ledger took."""
    ledger_seconds.observe(seconds)
