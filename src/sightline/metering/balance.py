"""What keys with a spending limit have reserved and settled, in nano-dollars.

An account's reserved money is that of its reserved rows, in every commit. It is only ever changed by what a statement
adds to it, and reserved only where the limit still covers it, so that processes cannot overspend together.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.base import Executable

from sightline.errors import QuotaExceeded
from sightline.metering.ledger import Account, Entry
from sightline.metering.prices import dollars
from sightline.store.tables import key_spend

_spend = key_spend.c
_accounts = tuple_(_spend.key_id, _spend.period).in_(bindparam("accounts", expanding=True))
_LOCK = select(_spend.key_id).where(_accounts).order_by(_spend.key_id, _spend.period).with_for_update()
_TOTAL = select(_spend.settled_nanos + _spend.reserved_nanos).where(
    _spend.key_id == bindparam("key_id"), _spend.period == bindparam("period")
)


def _adding(insert: Any, *, up_to_limit: bool) -> Executable:
    """Add to an account, which is opened where there is none; `up_to_limit` only if that stays within `limit`."""
    new = insert(key_spend)
    sums = {name: _spend[name] + new.excluded[name] for name in ("reserved_nanos", "settled_nanos")}
    covered = sums["reserved_nanos"] + _spend.settled_nanos <= bindparam("limit") if up_to_limit else None
    adding = new.on_conflict_do_update(index_elements=["key_id", "period"], set_=sums, where=covered)
    statement: Executable = adding.returning(_spend.key_id) if up_to_limit else adding
    return statement


class BalanceStore:
    """The accounts in one kind of database. Every method is called within the transaction of a group."""

    def __init__(self, dialect: str) -> None:
        insert = sqlite.insert if dialect == "sqlite" else postgresql.insert
        self._add = _adding(insert, up_to_limit=False)
        self._reserve = _adding(insert, up_to_limit=True)
        self._locks = dialect != "sqlite"

    def lock(self, connection: Connection, accounts: Collection[Account]) -> None:
        """Lock accounts in one order in all processes, so that none waits for another that waits for it."""
        if self._locks and len(accounts) > 1:
            connection.execute(_LOCK, {"accounts": list(accounts)}).all()

    def reserve(self, connection: Connection, account: Account, entries: Sequence[Entry]) -> dict[str, QuotaExceeded]:
        """Reserve what requests of one account may cost; the refusals, by row. They are handled in order."""
        if self._is_covered(connection, account, entries):
            return {}
        if len(entries) == 1:
            return {entries[0].id: self._refusal(connection, account, entries[0])}
        refused: dict[str, QuotaExceeded] = {}
        for entry in entries:
            refused |= self.reserve(connection, account, [entry])
        return refused

    def add(self, connection: Connection, changes: Mapping[Account, tuple[int, int]]) -> None:
        """Add to what is reserved and settled of accounts, whatever their limits say."""
        rows = [_row(account, *changes[account]) for account in sorted(changes)]
        if rows:
            connection.execute(self._add, rows)

    def _is_covered(self, connection: Connection, account: Account, entries: Sequence[Entry]) -> bool:
        nanos = sum(entry.estimated_nanos for entry in entries)
        limit = min(entry.limit.nanos for entry in entries if entry.limit is not None)
        if nanos > limit:
            return False
        return connection.execute(self._reserve, _row(account, nanos, 0) | {"limit": limit}).first() is not None

    def _refusal(self, connection: Connection, account: Account, entry: Entry) -> QuotaExceeded:
        limit = entry.limit
        assert limit is not None
        spent = connection.execute(_TOTAL, {"key_id": account[0], "period": account[1]}).scalar() or 0
        return QuotaExceeded(
            f"The key's spending limit is ${dollars(limit.nanos)} ({limit.period}), ${dollars(spent)} of it "
            f"is spent or set aside, and this request may cost ${dollars(entry.estimated_nanos)}. Ask for fewer tokens "
            "(max_completion_tokens) or for a higher limit."
        )


def _row(account: Account, reserved_nanos: int, settled_nanos: int) -> dict[str, Any]:
    return {
        "key_id": account[0],
        "period": account[1],
        "reserved_nanos": reserved_nanos,
        "settled_nanos": settled_nanos,
    }
