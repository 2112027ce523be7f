"""Writes what many requests ask of the ledger into one transaction, with a handful of statements for all of them.

Comes in: `ReserveWrite`s and `SettleWrite`s, first come first. Goes out: their rows, what their accounts have reserved
and settled, and an `error` on each refused one. Every statement is idempotent: only a row that is new, or that is ended
now, moves a balance, so that a group may be applied again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from sightline.errors import IdempotencyConflict, StoreUnavailable
from sightline.log import get_logger
from sightline.metering.balance import BalanceStore
from sightline.metering.ledger import (
    KEPT,
    REFUSALS,
    Account,
    Entry,
    IdempotencyKey,
    Replay,
    ReserveWrite,
    SettleWrite,
    interrupt,
)
from sightline.store.liveness import Liveness
from sightline.store.tables import idempotency, ledger

_COUNTS = ("prompt_tokens", "completion_tokens", "image_tokens", "cached_tokens", "prompt_nanos", "completion_nanos")
_RESERVED = {"outcome": "reserved", "images": [], **dict.fromkeys(_COUNTS, 0)}
_rows = select(ledger.c.id, ledger.c.outcome, ledger.c.key_id, ledger.c.spend_period, ledger.c.estimated_nanos)
_LOCKED = _rows.where(ledger.c.id.in_(bindparam("ids", expanding=True))).order_by(ledger.c.id).with_for_update()
_THERE = select(ledger.c.id).where(ledger.c.id.in_(bindparam("ids", expanding=True)))
# Only of rows that are locked and reserved; the database's trigger refuses any other.
_SETTLE = update(ledger).where(ledger.c.id == bindparam("row_id"))
_kept = idempotency.c
_FIRST = select(idempotency).where(
    _kept.key_id == bindparam("key_id"), _kept.idempotency_key == bindparam("idempotency_key")
)
_ANSWER = update(idempotency).where(_kept.ledger_id == bindparam("row_id"))
_FORGET = delete(idempotency).where(_kept.ledger_id == bindparam("row_id"))

log = get_logger(__name__)


class LedgerWriter:
    """The batch handler of the ledger, for the server that `liveness` has a number for."""

    def __init__(self, dialect: str, liveness: Liveness) -> None:
        """`dialect` is SQLAlchemy's name of the database."""
        insert = sqlite.insert if dialect == "sqlite" else postgresql.insert
        self._liveness = liveness
        self._balances = BalanceStore(dialect)
        self._insert = insert(ledger).on_conflict_do_nothing().returning(ledger.c.id)
        self._insert_key = insert(idempotency).on_conflict_do_nothing().returning(_kept.ledger_id)
        self.running: set[str] = set()
        """Rows of this process that may still run. The event loop changes it, see `Ledger`."""

    def apply(self, connection: Connection, writes: Sequence[ReserveWrite | SettleWrite]) -> None:
        """Write a group; see `store.group_commit.BatchHandler`."""
        reserving = [write for write in writes if isinstance(write, ReserveWrite)]
        settling = [write for write in writes if isinstance(write, SettleWrite)]
        new = {write.entry.id for write in reserving}
        self._balances.lock(connection, {account for write in writes if (account := write.entry.account)})
        # What has ended gives back before others ask; what is new must be there before it ends.
        self._settle(connection, [write for write in settling if write.entry.id not in new])
        self._reserve(connection, reserving)
        self._settle(connection, [write for write in settling if write.entry.id in new])

    def _reserve(self, connection: Connection, asked: Sequence[ReserveWrite]) -> None:
        """Make the rows of those who are not refused."""
        for write in asked:
            if write.entry.idempotency_key is not None:
                try:
                    self._claim_key(connection, write.entry, write.entry.idempotency_key)
                except REFUSALS as error:
                    write.error = error
        granted = [write.entry for write in asked if write.error is None]
        charged = self._charge(connection, [write for write in asked if write.error is None])
        rows = [self._row(write.entry) for write in asked if write.error is None]
        if not rows:
            return
        new = set(connection.execute(self._insert, rows).scalars())
        back = Changes()
        for entry in granted:
            if entry.id in charged and entry.id not in new:  # an earlier try of the group was committed
                back.add(charged[entry.id], -entry.estimated_nanos)
        self._balances.add(connection, back)

    def _charge(self, connection: Connection, asked: Sequence[ReserveWrite]) -> dict[str, Account]:
        """Reserve on accounts what requests may cost; the accounts that were charged, by row."""
        by_account: dict[Account, list[ReserveWrite]] = defaultdict(list)
        for write in asked:
            if (account := write.entry.account) is not None and write.entry.estimated_nanos:
                by_account[account].append(write)
        charged: dict[str, Account] = {}
        for account in sorted(by_account):
            writes = by_account[account]
            refused = self._balances.reserve(connection, account, [write.entry for write in writes])
            there = _there(connection, refused)
            for write in writes:
                row_id = write.entry.id
                if row_id not in refused:
                    charged[row_id] = account
                elif row_id not in there:  # else an earlier try of the group was committed, and has reserved it
                    write.error = refused[row_id]
                    connection.execute(_FORGET, {"row_id": row_id})
        return charged

    def _settle(self, connection: Connection, asked: Sequence[SettleWrite]) -> None:
        """End the rows that are reserved; the others were ended by an earlier try, or are refused."""
        if not asked:
            return
        firsts = {write.entry.id: write for write in reversed(asked)}
        found = {row.id: row for row in connection.execute(_LOCKED, {"ids": list(firsts)})}
        ending: list[SettleWrite] = []
        changes = Changes()
        for write in asked:
            row = found.get(write.entry.id)
            is_first = firsts[write.entry.id] is write
            if is_first and row is not None and row.outcome == "reserved":
                ending.append(write)
                if row.spend_period is not None:
                    cost_nanos = write.outcome.cost.total_nanos
                    changes.add((row.key_id, row.spend_period), -row.estimated_nanos, cost_nanos)
            elif not write.can_wait and (not is_first or row is None or row.outcome != write.outcome.name):
                write.error = StoreUnavailable()
            if row is not None and row.outcome == "interrupted":
                # This server was cut off for so long that another one took it for dead.
                log.error("interrupted_while_running", request_id=write.entry.request_id, charged=0)
        if ending:
            connection.execute(_SETTLE, [_ended(write) for write in ending])
            self._balances.add(connection, changes)
            _keep_answers(connection, ending)

    def _claim_key(self, connection: Connection, entry: Entry, key: IdempotencyKey) -> None:
        """Take an Idempotency-Key for a request.

        Raises:
            IdempotencyConflict, Replay: another one has it.
        """
        row = {
            "key_id": entry.key_id,
            "idempotency_key": key.key,
            "body_sha256": key.body_sha256,
            "ledger_id": entry.id,
            "server": self._liveness.number,
            "created_at": entry.created_at,
        }
        for _ in range(2):
            if connection.execute(self._insert_key, row).first() is not None:
                return
            first = connection.execute(_FIRST, {"key_id": entry.key_id, "idempotency_key": key.key}).one_or_none()
            if first is not None and first.ledger_id == entry.id:  # an earlier try of the group was committed
                return
            if first is not None:
                self._release_key(connection, first, entry, key)
        raise _still_running()  # another process was quicker

    def _release_key(self, connection: Connection, first: Any, entry: Entry, key: IdempotencyKey) -> None:
        """Free an Idempotency-Key of a request that was long ago, or that nobody runs any more.

        Raises:
            IdempotencyConflict, Replay: it is taken.
        """
        if first.created_at >= entry.created_at - KEPT:
            if first.body_sha256 != key.body_sha256:
                raise IdempotencyConflict(
                    "This Idempotency-Key was used for another body; send a new key with a new request."
                )
            if first.answer is not None:
                raise Replay(first.media_type, first.answer)
            if self._runs(connection, first):
                raise _still_running()
            interrupt(connection, ledger.c.id == first.ledger_id)
        connection.execute(_FORGET, {"row_id": first.ledger_id})

    def _runs(self, connection: Connection, first: Any) -> bool:
        if first.server == self._liveness.number:
            return first.ledger_id in self.running
        return not self._liveness.claim(connection, self._liveness.dead([first.server]))

    def _row(self, entry: Entry) -> dict[str, Any]:
        account = entry.account
        return _RESERVED | {
            "id": entry.id,
            "request_id": entry.request_id,
            "server": self._liveness.number,
            "key_id": entry.key_id,
            "model": entry.model,
            "created_at": entry.created_at,
            "estimated_tokens": entry.estimated_tokens,
            "estimated_nanos": entry.estimated_nanos,
            "spend_period": None if account is None else account[1],
        }


class Changes(dict[Account, tuple[int, int]]):
    """What is added to each account: reserved and settled nano-dollars."""

    def add(self, account: Account, reserved_nanos: int, settled_nanos: int = 0) -> None:
        """Add to one account."""
        reserved, settled = self.get(account, (0, 0))
        self[account] = (reserved + reserved_nanos, settled + settled_nanos)


def _still_running() -> IdempotencyConflict:
    return IdempotencyConflict(
        "The first request with this Idempotency-Key is still running; send it again when it has ended.",
        retry_after_s=1,
    )


def _there(connection: Connection, row_ids: Mapping[str, object]) -> set[str]:
    return set(connection.execute(_THERE, {"ids": list(row_ids)}).scalars()) if row_ids else set()


def _ended(write: SettleWrite) -> dict[str, Any]:
    outcome, usage, cost = write.outcome, write.outcome.usage, write.outcome.cost
    return {
        "row_id": write.entry.id,
        "outcome": outcome.name,
        "status": outcome.status,
        "error": outcome.error,
        "ended_at": write.at,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "image_tokens": usage.image_tokens,
        "cached_tokens": usage.cached_tokens,
        "prompt_nanos": cost.prompt_nanos,
        "completion_nanos": cost.completion_nanos,
        "images": list(outcome.images),
        "timings": outcome.timings_ms,
    }


def _keep_answers(connection: Connection, ended: Sequence[SettleWrite]) -> None:
    """Keep the answers of those with an Idempotency-Key; without an answer the key is free again."""
    with_key = [write for write in ended if write.entry.idempotency_key is not None]
    for write in with_key:
        outcome, row_id = write.outcome, write.entry.id
        if outcome.answer is not None:
            answer = {"row_id": row_id, "answer": outcome.answer, "media_type": outcome.media_type}
            connection.execute(_ANSWER, answer)
        else:
            connection.execute(_FORGET, {"row_id": row_id})
