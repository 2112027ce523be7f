"""Usage as text: times, CSV that no spreadsheet runs."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from sightline.metering.report_format import as_csv, line_body, line_columns, parse_time, total_body, total_columns
from sightline.metering.reports import RequestRecord, Total

TOTAL = Total("2026-11-21", "key_1", "Ada", "a/model", 3, 1, 36, 15, 24, 510)
LINE = RequestRecord(
    *("row_1", "req_1", datetime(2026, 11, 21, tzinfo=UTC), datetime(2026, 11, 21, 0, 0, 1, tzinfo=UTC)),
    *("key_1", "Ada", "a/model", "completed", 200, None, 12, 5, 8, 1, 170, [{"sha256": "ab", "width": 3}], None),
)


def test_totals_name_only_what_they_are_grouped_by() -> None:
    counts = {"requests": 3, "failed": 1, "prompt_tokens": 36, "completion_tokens": 15, "image_tokens": 24}
    money = {"cost": "0.00000051", "currency": "USD"}

    assert total_body(TOTAL, ()) == {"object": "usage.total", **counts, **money}
    assert total_body(TOTAL, ("model", "key")) == {
        "object": "usage.total",
        "model": "a/model",
        "key_id": "key_1",
        "key_name": "Ada",
        **counts,
        **money,
    }


def test_csv_of_lines_reads_back() -> None:
    named = replace(LINE, key_name='=cmd("x")')

    [row] = csv.DictReader(io.StringIO("".join(as_csv([line_body(named)], line_columns()))))

    assert row["key_name"] == '\'=cmd("x")'
    assert row["images"] == '[{"sha256":"ab","width":3}]'
    assert (row["time"], row["cost"], row["error"]) == ("2026-11-21T00:00:00.000Z", "0.00000017", "")


def test_csv_of_nothing_is_a_heading() -> None:
    assert "".join(as_csv([], total_columns(["day"]))).startswith("day,requests,failed,prompt_tokens")


@pytest.mark.parametrize(
    "text",
    [
        "1795219200",
        "2026-11-21",
        "2026-11-21T00:00:00Z",
        "2026-11-21 00:00:00+00:00",
        "2026-11-21T01:00:00 01:00",
        "2026-11-20T23:00:00.000-01:00",
    ],
)
def test_times_are_read(text: str) -> None:
    assert parse_time(text) == datetime(2026, 11, 21, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "7d", "-1", "20261121", "99999999", "9" * 12, "9" * 30, "٣", "2026-02-30"),
        *("2026-11-21T00:00:00", "1969-12-31", "9999-12-31", "0001-01-01T00:00:00+10:00"),
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        parse_time(text)
