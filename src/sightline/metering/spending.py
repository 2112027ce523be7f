"""What keys with a spending limit have spent in the period that runs now.

Comes in: limits by key. Goes out: sums that `metering.ledger` keeps; nothing is added up here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from sightline.core import SpendingLimit
from sightline.metering.ledger import period_of
from sightline.store.tables import key_spend


@dataclass(frozen=True, slots=True)
class Spent:
    """What was charged, and what is set aside for requests that run or come next, in nano-dollars."""

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
