"""The metrics of several processes as one table: a worker's counts as a message, and their sum with ours.

What a worker that is gone has counted stays in the sum: a counter never falls.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from sightline import metrics
from sightline.metrics import Counter, Gauge, Histogram
from sightline.workers.messages import Counts, Series


def counted() -> Counts:
    """What this process has counted since its start."""
    series: list[Series] = []
    for metric in metrics.ALL:
        if isinstance(metric, Counter):
            series += [Series(metric.name, labels, value) for labels, value in metric.values.items()]
        elif isinstance(metric, Histogram):
            for labels, counts in metric.counts.items():
                series.append(Series(metric.name, labels, metric.sums[labels], tuple(counts)))
    return Counts(tuple(series))


def text(of_workers: Iterable[Counts]) -> bytes:
    """The sum of this process's metrics and those of workers, in the text format of Prometheus."""
    table = [_copy(metric) for metric in metrics.ALL]
    for counts in of_workers:
        _add(table, counts)
    return metrics.text(table)


def total(parts: Iterable[Counts]) -> Counts:
    """Several counts as one."""
    values: dict[tuple[str, metrics.Labels], Series] = {}
    for series in (one for counts in parts for one in counts.series):
        before = values.get((series.name, series.labels))
        values[series.name, series.labels] = series if before is None else _sum(before, series)
    return Counts(tuple(values.values()))


def _sum(one: Series, other: Series) -> Series:
    counts = tuple(a + b for a, b in zip(one.counts, other.counts, strict=True))
    return Series(one.name, one.labels, one.value + other.value, counts)


def _copy(metric: Counter | Histogram | Gauge) -> Counter | Histogram | Gauge:
    if isinstance(metric, Counter):
        return replace(metric, values=metric.values.copy())
    if isinstance(metric, Histogram):
        counts = {labels: list(counts) for labels, counts in metric.counts.items()}
        return replace(metric, counts=counts, sums=dict(metric.sums))
    return metric


def _add(table: Sequence[Counter | Histogram | Gauge], counts: Counts) -> None:
    metrics_by_name = {metric.name: metric for metric in table}
    for series in counts.series:
        metric = metrics_by_name[series.name]
        if isinstance(metric, Counter):
            metric.add(series.labels, series.value)
        elif isinstance(metric, Histogram):
            counts_before = metric.counts.setdefault(series.labels, [0] * len(series.counts))
            metric.counts[series.labels] = [a + b for a, b in zip(counts_before, series.counts, strict=True)]
            metric.sums[series.labels] = metric.sums.get(series.labels, 0.0) + series.value
