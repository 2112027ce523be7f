"""Counts of several processes as one table."""

from __future__ import annotations

from sightline import metrics
from sightline.workers import counts
from sightline.workers.messages import Counts, Series


def test_what_only_workers_have_counted_is_in_the_sum_and_not_among_our_own() -> None:
    """A label that this process has not met, of a counter and of a histogram."""
    seen = Series("sightline_requests", ("/only/workers", 200), 2)
    bins = tuple([1] + [0] * len(metrics.request_seconds.bounds))
    took = Series("sightline_request_duration_seconds", ("/only/workers",), 0.25, bins)

    shown = counts.text([Counts((seen,)), Counts((seen, took))]).decode()

    assert 'sightline_requests_total{route="/only/workers",status="200"} 4.0' in shown
    assert 'sightline_request_duration_seconds_sum{route="/only/workers"} 0.25' in shown
    assert ("/only/workers", 200) not in metrics.requests.values
