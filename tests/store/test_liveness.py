"""Liveness: a server that lives is never judged dead, whatever becomes of its connection."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from sightline.errors import StoreUnavailable
from sightline.metering.audit import check
from sightline.metering.ledger import IdempotencyKey
from sightline.store import liveness as liveness_module
from sightline.store.database import Database
from sightline.store.liveness import LOOKS, LOOKS_APART_S, LOOKS_STALE_S, FileLiveness, PostgresLiveness
from support.ledgers import DONE, LIMIT, Process, entry

FAR = 7
"""The number of another machine."""


def files(folder: Path) -> set[str]:
    return {path.stem for path in folder.iterdir()}


class TestFiles:
    """SQLite: a locked file."""

    def test_files_of_killed_servers_are_cleared_at_the_next_start(self, tmp_path: Path) -> None:
        lives = FileLiveness(tmp_path)
        (tmp_path / "17.lock").touch()  # its lock went with its process

        starts = FileLiveness(tmp_path)

        assert files(tmp_path) == {str(lives.number), str(starts.number)}
        assert starts.dead([17, lives.number]) == {17}
        lives.close()
        starts.close()
        assert files(tmp_path) == set()

    def test_a_file_that_is_not_ours_to_clear_does_not_end_a_start(self, tmp_path: Path) -> None:
        (tmp_path / "folder.lock").mkdir()

        FileLiveness(tmp_path).close()

        assert files(tmp_path) == {"folder"}

    def test_one_in_a_folder_that_is_gone_ends_all_the_same(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lives = FileLiveness(tmp_path)
        monkeypatch.setattr(Path, "unlink", refuse)

        lives.close()

        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(lives._file)

    def test_a_server_that_is_just_starting_is_not_taken_for_dead(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Another one starts, and clears, while its file is there and not locked yet."""
        lock, others = liveness_module.fcntl.flock, []

        def lock_late(file: int, how: int) -> None:
            if not others:
                others.append(None)
                others.append(FileLiveness(tmp_path))
            lock(file, how)

        monkeypatch.setattr(liveness_module.fcntl, "flock", lock_late)

        slow = FileLiveness(tmp_path)

        other = others[1]
        assert other.dead([slow.number]) == set()
        slow.close()
        other.close()


def refuse(_: Path, *, missing_ok: bool) -> None:
    raise PermissionError


class Clock:
    """A time that moves when it is told to."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class TestPostgres:
    """Postgres: a lock of its own, and a socket's name on the same machine."""

    @pytest.fixture
    def database(self, empty_postgres: str) -> Iterator[Database]:
        database = Database.at(empty_postgres)
        yield database
        database.close()

    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def judge(self, database: Database, clock: Clock) -> Iterator[PostgresLiveness]:
        judge = PostgresLiveness(database.engine, clock=clock)
        yield judge
        judge.close()

    @pytest.fixture
    def far(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[PostgresLiveness]:
        """A server on another machine, which renews its lock when it is told to."""
        monkeypatch.setattr(liveness_module, "_RENEW_S", 1e6)
        far = PostgresLiveness(database.engine, host=FAR)
        yield far
        far.close()

    def test_one_here_lives_without_its_lock(self, database: Database, judge: PostgresLiveness, clock: Clock) -> None:
        """Postgres was started again: all locks are gone, all servers live."""
        lives = PostgresLiveness(database.engine)
        cut(database)

        assert looks(judge, lives.number, clock, 5) == [False] * 5
        lives.close()
        assert judge.dead([lives.number]) == {lives.number}

    def test_one_here_that_is_killed_is_dead_at_once(
        self, database: Database, judge: PostgresLiveness, empty_postgres: str
    ) -> None:
        said = (
            "import os, sys; from sightline.store.database import Database; "
            "print(Database.at(sys.argv[1]).liveness().number, flush=True); os.kill(os.getpid(), 9)"
        )
        killed = subprocess.run([sys.executable, "-c", said, empty_postgres], stdout=subprocess.PIPE, check=False)

        assert judge.dead([int(killed.stdout)]) == {int(killed.stdout)}

    def test_one_elsewhere_lives_while_it_has_its_lock(
        self, judge: PostgresLiveness, far: PostgresLiveness, clock: Clock
    ) -> None:
        assert looks(judge, far.number, clock, 2 * LOOKS) == [False] * 2 * LOOKS
        assert not judge.suspects

    def test_one_elsewhere_that_takes_its_lock_again_lives(
        self, database: Database, judge: PostgresLiveness, far: PostgresLiveness, clock: Clock
    ) -> None:
        """However often that is: no look counts that was before it."""
        for _ in range(3):
            cut(database)
            assert looks(judge, far.number, clock, LOOKS - 1) == [False] * (LOOKS - 1)
            assert judge.suspects
            far.renew()
            assert looks(judge, far.number, clock, 1) == [False]
            assert not judge.suspects

    def test_one_elsewhere_whose_lock_stays_free_is_dead(
        self, judge: PostgresLiveness, far: PostgresLiveness, clock: Clock, database: Database
    ) -> None:
        far.close()
        cut(database)

        assert looks(judge, far.number, clock, LOOKS) == [False] * (LOOKS - 1) + [True]

    def test_looks_that_are_close_together_are_one(
        self, judge: PostgresLiveness, far: PostgresLiveness, clock: Clock, database: Database
    ) -> None:
        cut(database)

        assert looks(judge, far.number, clock, 100, apart_s=LOOKS_APART_S / 100) == [False] * 100

    def test_looks_that_are_far_apart_are_counted_anew(
        self, judge: PostgresLiveness, far: PostgresLiveness, clock: Clock, database: Database
    ) -> None:
        """The judge slept: the other one may have lived meanwhile, and lost its lock again."""
        cut(database)

        assert looks(judge, far.number, clock, 5, apart_s=LOOKS_STALE_S + 1) == [False] * 5

    def test_one_that_comes_back_before_it_is_acted_on_lives(
        self, judge: PostgresLiveness, far: PostgresLiveness, clock: Clock, database: Database
    ) -> None:
        cut(database)
        assert looks(judge, far.number, clock, LOOKS)[-1]
        far.renew()

        assert database.transaction(lambda connection: judge.claim(connection, [far.number])) == set()

    def test_one_that_is_acted_on_comes_back_only_after_that(
        self, judge: PostgresLiveness, far: PostgresLiveness, clock: Clock, database: Database
    ) -> None:
        cut(database)

        def act(connection: Connection) -> set[int]:
            claimed = judge.claim(connection, [far.number])
            far.renew()
            assert not has_lock(far)
            return claimed

        assert database.transaction(act) == {far.number}
        far.renew()
        assert has_lock(far)

    def test_a_lock_that_the_old_connection_still_has_is_taken_later(
        self, database: Database, judge: PostgresLiveness, far: PostgresLiveness, clock: Clock
    ) -> None:
        """Postgres has not noticed that it broke: to all others the server lives."""
        old = far._connection
        far._connection = None

        far.renew()

        assert far._connection is None
        assert looks(judge, far.number, clock, LOOKS) == [False] * LOOKS
        assert old is not None
        old.invalidate()
        old.close()

    @pytest.mark.anyio
    async def test_one_that_was_cut_off_too_long_is_fenced(
        self, database: Database, judge: PostgresLiveness, far: PostgresLiveness, clock: Clock
    ) -> None:
        """Its rows have ended: its answers are withheld and free, and its next requests are as ever."""
        judging, cut_off = Process(database, judge), Process(database, far)
        judging.committer.start()
        cut_off.committer.start()
        key = IdempotencyKey("k", b"x" * 32)
        one = entry(limit=LIMIT, idempotency_key=key)
        await cut_off.ledger.reserve(one)
        cut(database)
        marked = []
        for _ in range(LOOKS):
            marked.append(judging.ledger.clear())
            clock.now_s += LOOKS_APART_S
        far.renew()

        with pytest.raises(StoreUnavailable):
            await cut_off.ledger.settle(one, DONE)
        again = entry(limit=LIMIT, idempotency_key=key)
        await judging.ledger.reserve(again)
        await judging.ledger.settle(again, DONE)
        after = entry(limit=LIMIT)
        await cut_off.ledger.reserve(after)

        assert marked == [0] * (LOOKS - 1) + [1]
        assert judging.ledger.clear() == 0
        assert [row.outcome for row in judging.rows()] == ["interrupted", "completed", "reserved"]
        assert judging.spent() == (1000, 170)
        assert check(database, judge).discrepancies == ()
        await cut_off.committer.stop()
        await judging.committer.stop()


def looks(
    judge: PostgresLiveness, number: int, clock: Clock, count: int, *, apart_s: float = LOOKS_APART_S
) -> list[bool]:
    """Whether the server is judged dead, each time of `count`."""
    judged = []
    for _ in range(count):
        judged.append(bool(judge.dead([number])))
        clock.now_s += apart_s
    return judged


def cut(database: Database) -> None:
    """End all connections but one, as Postgres does when it is started again; returns when their locks are gone."""
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    held = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = ANY(:pids)")

    def end(connection: Connection) -> None:
        ended = connection.execute(text(f"SELECT pid, pg_terminate_backend(pid) {others}")).all()
        while connection.execute(held, {"pids": [row.pid for row in ended]}).scalar():
            pass

    database.read(end)


def has_lock(server: PostgresLiveness) -> bool:
    """Whether the server's lock is its own connection's."""
    connection = server._connection
    if connection is None:
        return False
    mine = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND granted"
    return bool(connection.execute(text(mine)).scalar())
