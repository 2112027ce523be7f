"""Spending limits of keys: which period a request counts towards, and what has been spent in it.

Comes in: limits by key. Goes out: sums that `metering.balance` keeps; nothing is added up here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, select

from sightline.core import Period, SpendingLimit
from sightline.store.tables import key_spend

_FORMATS = {"day": "%Y-%m-%d", "month": "%Y-%m", "total": "total"}


@dataclass(frozen=True, slots=True)
class Spent:
    """What was charged, and what is reserved for requests that run, in nano-dollars."""

    settled_nanos: int = 0
    reserved_nanos: int = 0


def spent_by(connection: Connection, limits: Mapping[str, SpendingLimit], now: datetime) -> dict[str, Spent]:
    """What each of the keys with these ids has spent in the period of its limit that `now` falls in."""
    periods = {key_id: period_of(limit.period, now) for key_id, limit in limits.items()}
    query = select(key_spend).where(key_spend.c.key_id.in_(periods), key_spend.c.period.in_(set(periods.values())))
    found = {
        row.key_id: Spent(row.settled_nanos, row.reserved_nanos)
        for row in connection.execute(query)
        if row.period == periods[row.key_id]
    }
    return {key_id: found.get(key_id, Spent()) for key_id in limits}


def period_of(period: Period, time: datetime) -> str:
    """Return the name of the period that `time` falls in: a day or month of UTC, or `total`."""
    return time.astimezone(UTC).strftime(_FORMATS[period])
