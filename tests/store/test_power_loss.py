"""The power goes: whatever part of the last writes had reached the disk, the database opens, and all that was
acknowledged is there.

Database and log (SQLite's write-ahead log) are copied after each commit of a load. A commit that has returned is on the
disk (`synchronous=FULL`, see test_database); of the writes since then any part may be: those of a later commit are cut
at every frame, at random bytes and in random sectors, those of a checkpoint at random pages and sectors.

Source: reliability.md C2; https://www.sqlite.org/atomiccommit.html, https://www.sqlite.org/fileformat2.html#the_wal
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest
from msgspec.structs import replace
from sqlalchemy import Connection, event, text

from sightline.core import SpendingLimit
from sightline.metering.audit import check
from sightline.metering.ledger import IdempotencyKey, Ledger
from sightline.store.database import Database
from support.ledgers import DONE, FAILED, entry, keeping

T = TypeVar("T")
CLIENTS, REQUESTS = 6, 6
PAGES_BEFORE_CHECKPOINT = 12
WAL_HEAD, FRAME_HEAD, SECTOR = 32, 24, 512
DONE_ONCE = replace(DONE, answer=b'{"choices": []}' * 500, media_type="application/json")


@dataclass(frozen=True, slots=True)
class Files:
    """What is on the disk."""

    database: bytes
    log: bytes


@dataclass(frozen=True, slots=True)
class Commit:
    """The files before and after, and the outcome of each row that had been acknowledged before it was durable."""

    before: Files
    after: Files
    acknowledged: dict[str, str]


class Recorded(Database):
    """A database that keeps its files as each commit found and left them."""

    acknowledged: dict[str, str]
    commits: list[Commit]

    def transaction(self, work: Callable[[Connection], T]) -> T:
        before = self._files()
        result = super().transaction(work)
        # Nobody has heard of this commit yet: what is acknowledged now was so before it.
        self.commits.append(Commit(before, self._files(), dict(self.acknowledged)))
        return result

    def _files(self) -> Files:
        assert self.folder is not None
        path = self.folder / "sightline.db"
        log = path.with_name("sightline.db-wal")
        return Files(path.read_bytes(), log.read_bytes() if log.exists() else b"")


async def load(ledger: Ledger, acknowledged: dict[str, str], client: int) -> None:
    """Requests one after another: with and without a spending limit and an Idempotency-Key, some that fail."""
    for number in range(REQUESTS):
        key = IdempotencyKey(f"{client}-{number}", b"x" * 32) if number % 4 == 3 else None
        one = entry(limit=SpendingLimit(10**9, "total") if number % 2 else None, idempotency_key=key)
        await ledger.reserve(one)
        acknowledged[one.id] = "reserved"
        outcome = FAILED if number == 5 else DONE_ONCE if key else DONE
        await ledger.settle(one, outcome)
        acknowledged[one.id] = outcome.name


async def record(folder: Path) -> list[Commit]:
    """Run the load; every commit it took."""
    database = Recorded.in_folder(folder)
    assert isinstance(database, Recorded)
    database.acknowledged, database.commits = {}, []
    database.engine.dispose()

    def checkpoint_soon(connection: sqlite3.Connection, _: object) -> None:
        connection.execute(f"PRAGMA wal_autocheckpoint={PAGES_BEFORE_CHECKPOINT}")

    event.listen(database.engine, "connect", checkpoint_soon)
    with closing(database):
        async with keeping(database) as ledger:
            await asyncio.gather(*(load(ledger, database.acknowledged, client) for client in range(CLIENTS)))
        assert database.read(lambda connection: connection.execute(text("PRAGMA synchronous")).scalar()) == 2
        assert len(database.acknowledged) == CLIENTS * REQUESTS
        return database.commits


def page_bytes(files: Files) -> int:
    size = int.from_bytes(files.database[16:18], "big")
    return 65_536 if size == 1 else size


def cut_logs(commit: Commit, dice: random.Random) -> Iterator[Files]:
    """The power went while the log was written, from front to back, or its sectors in any order."""
    old, new = commit.before.log, commit.after.log
    grown = old.ljust(len(new), b"\0")
    changed = [at for at in range(0, len(new), SECTOR) if grown[at : at + SECTOR] != new[at : at + SECTOR]]
    if not changed:
        return
    first, last = changed[0], min(changed[-1] + SECTOR, len(new))
    frame = FRAME_HEAD + page_bytes(commit.after)
    cuts = [cut for cut in range(WAL_HEAD, last + 1, frame) if cut > first]
    for cut in (*cuts, *(dice.randint(first, last) for _ in range(2))):
        yield Files(commit.before.database, new[:cut] + old[cut:])
    yield Files(commit.before.database, _some_sectors(grown, new, dice, SECTOR))


def cut_checkpoints(commit: Commit, dice: random.Random) -> Iterator[Files]:
    """The power went while pages of the log, which is on the disk by then, were written into the database."""
    old, new = commit.before.database, commit.after.database
    if old == new:
        return
    for unit in (page_bytes(commit.after), SECTOR):
        for _ in range(2):
            yield Files(_some_sectors(old.ljust(len(new), b"\0"), new, dice, unit), commit.after.log)
    yield Files(old, commit.after.log)
    yield commit.after


def _some_sectors(old: bytes, new: bytes, dice: random.Random, unit: int) -> bytes:
    starts = range(0, len(new), unit)
    return b"".join((new if dice.random() < 0.5 else old)[at : min(at + unit, len(new))] for at in starts)


def put(files: Files, folder: Path) -> Path:
    folder.mkdir()
    (folder / "sightline.db-wal").write_bytes(files.log)
    path = folder / "sightline.db"
    path.write_bytes(files.database)
    return path


def rows_of(path: Path) -> dict[str, str]:
    """The rows, after SQLite has looked at every page."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous=OFF")  # of a copy that is only looked at
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return dict(connection.execute("SELECT id, outcome FROM ledger").fetchall())


async def discrepancies(folder: Path) -> tuple[str, ...]:
    """What `ledger check` says once a service has started on these files."""
    with closing(Database.in_folder(folder)) as database:
        async with keeping(database) as ledger:
            ledger.clear()
        with closing(database.liveness()) as liveness:
            return check(database, liveness).discrepancies


@pytest.mark.anyio
async def test_power_loss_at_any_write_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    commits = await record(tmp_path / "running")
    dice = random.Random(7)
    was_cut_short = was_checkpointed = was_restarted = 0

    for at, commit in enumerate(commits):
        whole = rows_of(put(commit.after, tmp_path / f"{at}"))
        was_checkpointed += commit.before.database != commit.after.database
        was_restarted += commit.before.log[:WAL_HEAD] != commit.after.log[:WAL_HEAD] and len(commit.before.log) > 0
        for number, files in enumerate((*cut_logs(commit, dice), *cut_checkpoints(commit, dice))):
            folder = tmp_path / f"{at}-{number}"
            rows = rows_of(put(files, folder))
            for row_id, outcome in commit.acknowledged.items():
                assert rows.get(row_id) in ({outcome} if outcome != "reserved" else {"reserved", whole[row_id]})
            was_cut_short += rows != whole
            if number == at % 8:
                assert await discrepancies(folder) == ()

    assert was_cut_short > 20
    assert was_checkpointed > 1
    assert was_restarted > 1
