"""What one group of writes moves between rows, leases and spending accounts: each is read once and changed once.

An account's reserved money is that of its reserved rows and of all leases, always: both are changed in the transaction
that changes it. Its row is locked from the reading to the commit (SQLite: the whole database is), so that processes
cannot overspend together. A lease's row is its own process's: it is only ever changed from what it is known to hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import BigInteger, ColumnElement, Connection, bindparam, delete, literal_column, select, tuple_, update
from sqlalchemy.sql.base import Executable

from sightline.core import SpendingLimit
from sightline.errors import QuotaExceeded, StoreUnavailable
from sightline.metering.leases import SHARE, Account, GiveBack, Grant, Lease
from sightline.metering.ledger import Entry, RowWrite, Settlement
from sightline.metering.prices import dollars
from sightline.store.database import Database
from sightline.store.prepared import Prepared, given, inserting
from sightline.store.tables import key_leases, key_spend
from sightline.store.writer import Unsure, Write

_ACCOUNT = {"of_key": key_spend.c.key_id.type, "in_period": key_spend.c.period.type}
_SUMS = {**_ACCOUNT, "reserved": BigInteger(), "settled": BigInteger()}
_HOLDS = {**_ACCOUNT, "was": BigInteger(), "nanos": BigInteger()}
_NONE_YET: ColumnElement[int] = literal_column("0")


class Funds:
    """The statements, of the process whose number is `server`."""

    def __init__(self, database: Database, server: int) -> None:
        """Prepare them."""
        lease = key_leases.c
        mine: ColumnElement[int] = literal_column(str(server))
        of_lease = (lease.key_id == bindparam("of_key"), lease.period == bindparam("in_period"), lease.server == mine)
        self._locks = not database.is_sqlite
        self._balances = Prepared(database, _reading(database), _ACCOUNT)
        self._held = Prepared(database, select(lease.nanos).where(*of_lease))
        self._open = Prepared(database, _opening(database), _ACCOUNT)
        self._move = Prepared(database, _moving(database), _SUMS)
        self._begin = Prepared(database, _beginning(database, mine), _HOLDS)
        self._change = Prepared(database, _changing(database, mine), _HOLDS)
        self._end = Prepared(database, _ending(database, mine), _HOLDS)

    def balances(
        self, connection: Connection, asked: Iterable[Account], others: Iterable[Account]
    ) -> dict[Account, int]:
        """What is spent or set aside of those `asked` for; nobody else can change it before this transaction ends.

        Accounts are locked in one order in all processes, so that none waits for another that waits for it: those of
        `others` too, unless it is a single one that is changed by itself.
        """
        asked, others = set(asked), set(others)
        accounts = asked | others if self._locks and len(asked | others) > 1 else asked
        if not accounts:
            return {}
        balances = self._read(connection, sorted(accounts))
        absent = sorted(asked - balances.keys())
        if absent:
            self._open.each(connection, absent)
            balances |= self._read(connection, absent)
        return balances

    def _read(self, connection: Connection, accounts: Sequence[Account]) -> dict[Account, int]:
        return {(row[0], row[1]): int(row[2]) for row in self._balances.all(connection, accounts)}

    def held(self, connection: Connection, account: Account) -> int:
        """What this process's lease holds; it stays so while the account is locked."""
        return int(self._held.scalar(connection, {"of_key": account[0], "in_period": account[1]}) or 0)

    def move(self, connection: Connection, moves: Mapping[Account, tuple[int, int]]) -> dict[Account, int]:
        """Add to what is reserved and settled of accounts; what is spent or set aside of each now."""
        rows = [(*account, *moves[account]) for account in sorted(moves)]
        balances = {(row[0], row[1]): int(row[2]) for row in self._move.all(connection, rows)}
        absent = [row for row in rows if row[:2] not in balances]
        if absent:  # of requests that were taken to be free
            self._open.each(connection, [row[:2] for row in absent])
            balances |= {(row[0], row[1]): int(row[2]) for row in self._move.all(connection, absent)}
        return balances

    def set_leases(self, connection: Connection, leases: Mapping[Account, tuple[int, int]]) -> bool:
        """Change leases from what they are known to hold to what they shall; False if one does not hold that.

        One of nothing has no row.
        """
        begun = [(*account, *held) for account, held in leases.items() if not held[0]]
        ended = [(*account, *held) for account, held in leases.items() if not held[1]]
        changed = [(*account, *held) for account, held in leases.items() if all(held)]
        pairs = ((self._begin, begun), (self._change, changed), (self._end, ended))
        return all(statement.each(connection, rows) == len(rows) for statement, rows in pairs if rows)


class _Move(msgspec.Struct):
    """What becomes of one lease and its account.

    The lease `was` this much, of which `pool` is in no row yet, `promised` are for this group's requests, and `hold` is
    left. Of its account, `balance` is spent or set aside, `asked` for by this group beside its leases. Its rows have
    `rows` more reserved; their costs are `settled`; they took `back` less than they had reserved or been promised.
    """

    was: int
    pool: int
    hold: int = 0
    promised: int = 0
    balance: int | None = None
    asked: int = 0
    rows: int = 0
    settled: int = 0
    back: int = 0


class Moves:
    """Those of one group in one transaction.

    A `careful` one takes what a lease holds from its row, not from this process's memory: an earlier try may have been
    committed, and another process may have taken this one for dead and given its leases back. It never adds to a lease.
    """

    def __init__(self, funds: Funds, connection: Connection, careful: bool) -> None:
        self._funds = funds
        self._connection = connection
        self._careful = careful
        self._moves: dict[Lease, _Move] = {}
        self._promised: dict[str, Grant] = {}
        self._rooms: dict[Account, int] = {}

    def begin(self, writes: Iterable[Write]) -> None:
        """Take note of all that the group is about; read and lock what must be.

        Raises:
            Unsure: it is not known what a lease holds, and this is not careful.
        """
        asked: set[Account] = set()
        for write in writes:
            if isinstance(write, GiveBack):
                self._of(write.lease)
                write.take()
            elif isinstance(write, RowWrite) and (lease := write.lease) is not None:
                move, entry = self._of(lease), write.entry
                if entry.grant.nanos and entry.id not in self._promised:
                    self._promised[entry.id] = entry.grant
                    move.promised += entry.grant.nanos
                elif not entry.grant.nanos and entry.estimated_nanos and not isinstance(write, Settlement):
                    asked.add(lease.account)
        accounts = {lease.account for lease in self._moves}
        balances = self._funds.balances(self._connection, accounts if self._careful else asked, accounts)
        for lease, move in self._moves.items():
            if self._careful:
                move.was = move.pool = self._funds.held(self._connection, lease.account)
            if self._careful or lease.account in asked:
                move.balance = balances[lease.account]

    def _of(self, lease: Lease) -> _Move:
        move = self._moves.get(lease)
        if move is None:
            held = lease.held
            if held is None and not self._careful:
                raise Unsure
            move = self._moves[lease] = _Move(held or 0, held or 0)
        return move

    def cover(self, entry: Entry) -> None:
        """Take what a request may cost out of what its lease promised it, or ask its account for it.

        Raises:
            QuotaExceeded: nothing was promised, and the account does not have it either.
            StoreUnavailable: it was promised, and is not there any more.
        """
        lease, promised = entry.grant.lease, entry.grant.nanos
        if lease is None:
            return
        move = self._moves[lease]
        if promised and promised <= move.pool:
            move.pool -= promised
        elif promised:
            try:
                self._ask(lease, move, entry)
            except QuotaExceeded as error:
                raise StoreUnavailable from error
        elif entry.estimated_nanos:
            self._ask(lease, move, entry)

    def _ask(self, lease: Lease, move: _Move, entry: Entry) -> None:
        limit, nanos = entry.limit, entry.estimated_nanos
        if move.balance is None:
            raise Unsure
        assert limit is not None
        if limit != lease.limit or self._spent(lease, move) + nanos > limit.nanos:
            lease.take()  # before anybody is refused, or a new limit holds
            lease.limit = limit
        spent_nanos = self._spent(lease, move)
        if spent_nanos + nanos > limit.nanos:
            raise QuotaExceeded(
                f"The key's spending limit is ${dollars(limit.nanos)} ({limit.period}), ${dollars(spent_nanos)} of it "
                f"is spent or set aside, and this request may cost ${dollars(nanos)}. Ask for fewer tokens "
                "(max_completion_tokens) or for a higher limit."
            )
        move.asked += nanos

    def _spent(self, lease: Lease, move: _Move) -> int:
        """What is spent or set aside, less what the lease has too much."""
        assert move.balance is not None
        return move.balance + move.asked - max(move.was - lease.needed(), 0)

    def overdraw(self, entry: Entry, cost_nanos: int) -> None:
        """A request that `cover` refused is to be settled all the same: who is asked for next finds that much less."""
        assert entry.grant.lease is not None
        self._moves[entry.grant.lease].asked += cost_nanos

    def reserve(self, entry: Entry) -> None:
        """A request's row has been made."""
        if entry.grant.lease is not None:
            self._moves[entry.grant.lease].rows += entry.estimated_nanos

    def settle(self, entry: Entry, cost_nanos: int, *, was_reserved: bool = True) -> None:
        """A request's row has been ended; if it `was_reserved`, not just now."""
        if entry.grant.lease is None:
            return
        move = self._moves[entry.grant.lease]
        move.settled += cost_nanos
        move.back += max(entry.estimated_nanos - cost_nanos, 0)
        if was_reserved:
            move.rows -= entry.estimated_nanos

    def done(self) -> None:
        """All of it is durable: tell the leases. Called on the event loop."""
        for grant in self._promised.values():
            assert grant.lease is not None
            grant.lease.promised -= grant.nanos
            grant.nanos = 0
        for lease, move in self._moves.items():
            lease.kept(move.hold, self._rooms.get(lease.account))

    def carry_out(self) -> None:
        """Change leases and accounts.

        Raises:
            Unsure: a lease does not hold what it should.
            StoreUnavailable: likewise, for all care.
        """
        leases, accounts = {}, {}
        for lease, move in self._moves.items():
            hold = move.hold = self._hold(lease, move)
            if hold != move.was:
                leases[lease.account] = (move.was, hold)
            reserved = move.rows + hold - move.was
            if reserved or move.settled:
                accounts[lease.account] = (reserved, move.settled)
        if accounts:
            balances = self._funds.move(self._connection, accounts)
            for lease in self._moves:
                if lease.account in balances:
                    self._rooms[lease.account] = _room(lease.limit, balances[lease.account])
        if leases and not self._funds.set_leases(self._connection, leases):
            raise StoreUnavailable if self._careful else Unsure

    def _hold(self, lease: Lease, move: _Move) -> int:
        """What the lease is to hold: not more than it does, but for what the group brings back or its account has."""
        hold = min(move.pool, lease.needed() - move.promised)
        if self._careful:
            return max(hold, 0)
        if hold < 0:
            raise Unsure
        room = lease.room
        if move.balance is not None:
            room = _room(lease.limit, move.balance + move.rows + hold - move.was + move.settled)
        wanted = lease.wants(room)
        if move.balance is None:
            wanted = min(wanted, move.back)
        return hold + wanted


def _room(limit: SpendingLimit, balance: int) -> int:
    return max((limit.nanos - balance) // SHARE, 0)


def _opening(database: Database) -> Executable:
    by, nothing = given(database, _ACCOUNT), {"reserved_nanos": _NONE_YET, "settled_nanos": _NONE_YET}
    return inserting(database, key_spend, {"key_id": by["of_key"], "period": by["in_period"], **nothing})


def _reading(database: Database) -> Executable:
    spend, by = key_spend.c, given(database, _ACCOUNT)
    return (
        select(spend.key_id, spend.period, spend.settled_nanos + spend.reserved_nanos)
        .where(spend.key_id == by["of_key"], spend.period == by["in_period"])
        .order_by(spend.key_id, spend.period)
        .with_for_update(of=key_spend)
    )


def _moving(database: Database) -> Executable:
    spend, by = key_spend.c, given(database, _SUMS)
    return (
        update(key_spend)
        .where(spend.key_id == by["of_key"], spend.period == by["in_period"])
        .values(reserved_nanos=spend.reserved_nanos + by["reserved"], settled_nanos=spend.settled_nanos + by["settled"])
        .returning(spend.key_id, spend.period, spend.settled_nanos + spend.reserved_nanos)
    )


def _beginning(database: Database, server: ColumnElement[Any]) -> Executable:
    by = given(database, _HOLDS)
    row = {"key_id": by["of_key"], "period": by["in_period"], "server": server, "nanos": by["nanos"]}
    return inserting(database, key_leases, row)


def _changing(database: Database, server: ColumnElement[Any]) -> Executable:
    lease, by = key_leases.c, given(database, _HOLDS)
    here = (lease.key_id == by["of_key"], lease.period == by["in_period"], lease.server == server)
    return update(key_leases).where(*here, lease.nanos == by["was"]).values(nanos=by["nanos"])


def _ending(database: Database, server: ColumnElement[Any]) -> Executable:
    lease, by = key_leases.c, given(database, _HOLDS)
    gone = select(by["of_key"], by["in_period"], by["was"])
    return delete(key_leases).where(lease.server == server, tuple_(lease.key_id, lease.period, lease.nanos).in_(gone))
