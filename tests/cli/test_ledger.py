"""`sightline ledger check`: a sentence and status 0, every discrepancy and status 1, or status 2 unchecked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from sightline.cli.main import app
from sightline.store.database import Database
from support.ledgers import DONE, FAILED, entry, fill


@pytest.fixture
def database(tmp_path: Path) -> Database:
    database = Database.in_folder(tmp_path)
    asyncio.run(fill(database, [(entry(), DONE), (entry(), DONE), (entry(), FAILED)]))
    database.close()
    return database


def test_what_adds_up_says_so(database: Database, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["ledger", "check", "--data", str(tmp_path)])

    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "3 rows (2 completed, 1 failed)",
        "34 tokens, $0.00000034",
        "The ledger adds up.",
    ]


def test_what_does_not_is_named(database: Database, tmp_path: Path) -> None:
    def damage(connection: object) -> None:
        connection.execute(text("DROP TRIGGER ledger_is_append_only"))  # type: ignore[attr-defined]
        connection.execute(text("UPDATE ledger SET prompt_nanos = 5"))  # type: ignore[attr-defined]

    database.transaction(damage)
    database.close()

    result = CliRunner().invoke(app, ["ledger", "check", "--data", str(tmp_path)])

    assert result.exit_code == 1
    assert "failed and costs something" in result.stdout
    assert "can be changed" in result.stdout
    assert "2 discrepancies" in result.stderr


def test_no_ledger_is_not_taken_for_a_good_one(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["ledger", "check", "--data", str(tmp_path / "none")])

    assert result.exit_code == 2
    assert "There is no database in" in result.stderr


def test_a_folder_of_which_no_sign_of_life_can_be_given_is_neither_good_nor_bad(
    database: Database, tmp_path: Path
) -> None:
    (tmp_path / "servers").rmdir()
    (tmp_path / "servers").touch()

    result = CliRunner().invoke(app, ["ledger", "check", "--data", str(tmp_path)])

    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: The database cannot be used at this moment: [Errno 17] File exists")


@pytest.mark.parametrize("plan", ["store.read=error", "store.write=error"])
def test_a_database_that_fails_meanwhile_is_neither_good_nor_bad(
    database: Database, tmp_path: Path, failing: Callable[[str], None], plan: str
) -> None:
    failing(plan)

    result = CliRunner().invoke(app, ["ledger", "check", "--data", str(tmp_path)])

    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: The database cannot be used at this moment: injected at store.")
