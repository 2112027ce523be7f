"""The database: made on a first start, brought up to date, safe to leave at any moment."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Timer

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, create_engine, insert, make_url, select, text

from sightline.errors import ConfigError
from sightline.metering.audit import check
from sightline.store import database
from sightline.store.database import Database
from sightline.store.liveness import LOOKS, PostgresLiveness
from sightline.store.tables import api_keys, ledger, metadata
from support.databases import KINDS
from support.ledgers import Process


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Database]:
    database = Database.in_folder(tmp_path / "a" / "b")
    yield database
    database.close()


def test_folder_and_file_are_their_owners_alone(opened: Database, tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "sightline.db").stat().st_mode) == 0o600


def test_migrations_make_the_tables_of_this_version(opened: Database) -> None:
    def differences(connection: object) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))  # type: ignore[arg-type]

    assert opened.transaction(differences) == []


def test_opening_again_keeps_what_is_there(tmp_path: Path) -> None:
    first = Database.in_folder(tmp_path)
    first.transaction(lambda connection: connection.execute(text("CREATE TABLE kept (x)")))
    first.close()

    second = Database.in_folder(tmp_path)

    assert second.transaction(lambda connection: connection.execute(text("SELECT count(*) FROM kept")).scalar()) == 0
    second.close()


def test_transaction_that_raises_is_rolled_back(opened: Database) -> None:
    def fail(connection: object) -> None:
        connection.execute(text("DELETE FROM alembic_version"))  # type: ignore[attr-defined]
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        opened.transaction(fail)

    count = opened.transaction(lambda connection: connection.execute(text("SELECT * FROM alembic_version")).all())
    assert len(count) == 1


@pytest.mark.anyio
async def test_work_off_the_loop_gives_its_result(opened: Database) -> None:
    assert await opened.run(lambda connection: connection.execute(text("SELECT 41 + 1")).scalar()) == 42


@pytest.mark.parametrize(
    ("pragma", "value"), [("journal_mode", "wal"), ("synchronous", 2), ("busy_timeout", 800), ("foreign_keys", 1)]
)
def test_commits_are_durable_and_readers_do_not_wait(opened: Database, pragma: str, value: object) -> None:
    assert opened.transaction(lambda connection: connection.execute(text(f"PRAGMA {pragma}")).scalar()) == value


@pytest.mark.parametrize("name", ["with space", "a?b=c", "ü#%41", "a;b"])
def test_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    Database.in_folder(tmp_path / name).close()

    assert (tmp_path / name / "sightline.db").stat().st_size > 0


def test_folder_that_is_a_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigError, match=r"The data folder .*file cannot be used: File exists"):
        Database.in_folder(tmp_path / "file")


def test_file_that_is_no_database_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "sightline.db").write_bytes(b"not a database" * 100)

    with pytest.raises(ConfigError, match="file is not a database"):
        Database.in_folder(tmp_path)


def test_version_is_that_of_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))

    assert ScriptDirectory.from_config(config).get_heads() == [database.VERSION]


def test_database_of_a_newer_version_is_a_sentence(tmp_path: Path) -> None:
    Database.in_folder(tmp_path).close()
    connection = sqlite3.connect(tmp_path / "sightline.db")
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()

    with pytest.raises(ConfigError, match="newer Sightline"):
        Database.in_folder(tmp_path)


def test_absent_time_stays_absent(opened: Database) -> None:
    now = datetime.now(UTC)
    values = {"id": "k", "name": "n", "sha256": b"x" * 32, "hint": "abcd", "created_at": now}
    opened.transaction(lambda connection: connection.execute(insert(api_keys).values(values)))

    row = opened.transaction(lambda connection: connection.execute(select(api_keys)).one())

    assert row.created_at == now
    assert row.revoked_at is None


def test_times_are_utc_whatever_the_zone_of_the_session(empty_postgres: str) -> None:
    opened = Database.at(f"{empty_postgres}&options=-c%20TimeZone%3DEurope%2FBerlin")
    now = datetime.now(UTC)
    values = {"id": "k", "name": "n", "sha256": b"x" * 32, "hint": "abcd", "created_at": now}
    opened.transaction(lambda connection: connection.execute(insert(api_keys).values(values)))

    row = opened.read(lambda connection: connection.execute(select(api_keys)).one())
    zone = opened.read(lambda connection: connection.execute(text("SHOW TimeZone")).scalar())
    opened.close()

    assert zone == "Europe/Berlin"
    assert row.created_at.isoformat() == now.isoformat()


def test_sqlite_that_is_too_old_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    monkeypatch.setattr(sqlite3, "sqlite_version", "3.34.1")

    with pytest.raises(ConfigError, match=r"has SQLite 3\.34\.1, Sightline needs 3\.35"):
        Database.in_folder(tmp_path)


def test_who_only_reads_changes_neither_an_older_database_nor_an_empty_one(empty_postgres: str) -> None:
    with pytest.raises(ConfigError, match="has no tables of Sightline's yet"):
        Database.at(empty_postgres, migrate=False)
    _make_of_before(make_url(empty_postgres).set(drivername="postgresql+psycopg"))

    with pytest.raises(ConfigError, match=r"is of an older Sightline.* sightline serve of this one"):
        Database.at(empty_postgres, migrate=False)

    with psycopg.connect(empty_postgres) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("0004",)]


def test_a_first_start_waits_for_another_that_migrates_longer_than_a_request_would(empty_postgres: str) -> None:
    with psycopg.connect(empty_postgres) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", (database._MIGRATION_LOCK,))
        ending = Timer(1.4, other.rollback)
        ending.start()

        Database.at(empty_postgres).close()

        ending.join()


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_leased_is_given_back(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """A request of then still runs; what is reserved for it stays so until it is marked interrupted."""
    url = URL.create("sqlite", database=str(tmp_path / "sightline.db"))
    if kind == "postgres":
        url = make_url(request.getfixturevalue("empty_postgres")).set(drivername="postgresql+psycopg")
    _make_of_before(url)

    opened = Database(url, tmp_path)
    process = Process(opened)
    clock = iter(range(0, 1000, 5))
    if isinstance(process.liveness, PostgresLiveness):  # numbers of before say nothing of their machine
        process.liveness._clock = lambda: float(next(clock))

    assert process.spent_by() == {("k", "total"): (900, 500), ("free", "2026-11"): (0, 0)}
    assert check(opened, process.liveness, sleep=lambda _: None).discrepancies == (
        f"Row row_{2:028x} is reserved by a process that is gone; a running service marks it interrupted.",
    )
    cleared = [process.ledger.clear() for _ in range(LOOKS)]
    assert sum(cleared) == 1
    assert check(opened, process.liveness).discrepancies == ()
    assert process.spent_by() == {("k", "total"): (0, 500), ("free", "2026-11"): (0, 0)}
    process.liveness.close()
    opened.close()


def _make_of_before(url: URL) -> None:
    """A database of version 0004: keys with an ended and a running request, and with open leases of two servers."""
    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
    engine = create_engine(url)
    now = datetime.now(UTC)
    zeros = dict.fromkeys(("completion_tokens", "image_tokens", "cached_tokens", "completion_nanos"), 0)
    names = {"request_id": "r", "server": 1, "key_id": "k", "model": "m", "created_at": now, "spend_period": "total"}
    row = {**names, **zeros, "estimated_tokens": 9, "estimated_nanos": 900, "images": "[]"}
    rows = (
        {"id": f"row_{1:028x}", "outcome": "completed", "prompt_tokens": 5, "prompt_nanos": 500},
        {"id": f"row_{2:028x}", "outcome": "reserved", "prompt_tokens": 0, "prompt_nanos": 0},
    )
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0004")
        for each in rows:
            ended = {"status": 200, "ended_at": now} if each["outcome"] == "completed" else {}
            connection.execute(insert(ledger).values(row | each | ended))
        connection.execute(text("INSERT INTO key_spend VALUES ('k', 'total', 930, 500), ('free', '2026-11', 7, 0)"))
        leases = "('k', 'total', 1, 10), ('k', 'total', 2, 20), ('free', '2026-11', 2, 7)"
        connection.execute(text(f"INSERT INTO key_leases VALUES {leases}"))
    engine.dispose()
