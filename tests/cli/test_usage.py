"""`sightline usage`: tables with bars, JSON, CSV, one line a request; read from the database itself."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import Result
from msgspec.structs import replace
from sqlalchemy import text
from typer.testing import CliRunner

from sightline.auth.keys import Keys
from sightline.cli.main import app
from sightline.core import NewKey
from sightline.metering.prices import Cost
from sightline.store.database import Database
from support.databases import fresh_database
from support.ledgers import DONE, FAILED, NOON, entry, fill

Run = Callable[..., Result]
DAY = timedelta(days=1)


@pytest.fixture
def run(settings_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("COLUMNS", "120")
    return lambda *arguments: CliRunner().invoke(app, ["usage", "--data", str(settings_folder), *arguments])


@pytest.fixture
def settings_folder(tmp_path: Path) -> Path:
    """A data folder with five requests of two keys on two days that are three apart."""
    database = Database.in_folder(tmp_path)
    key, _ = Keys(database).create(NewKey("Ada"))
    rows = [
        (entry(key_id=key.id), DONE),
        (entry(key_id=key.id), FAILED),
        (entry(NOON + 3 * DAY, key_id=key.id, model="b/[bold]"), replace(DONE, cost=Cost(0, 340))),
        (entry(NOON + 3 * DAY), DONE),
        (entry(NOON + 3 * DAY), replace(DONE, name="cancelled", status=499)),
    ]
    asyncio.run(fill(database, rows))
    database.close()
    return tmp_path


def test_days_are_a_table_with_bars_without_gaps(run: Run) -> None:
    result = run()

    lines = result.stdout.splitlines()
    assert result.exit_code == 0, result.output
    assert [line.split()[0] for line in lines] == [
        "day",
        *("2026-11-20", "2026-11-21", "2026-11-22", "2026-11-23"),
        "all",
    ]
    assert lines[1].split()[1:7] == ["2", "1", "12", "5", "8", "0.00000017"]
    assert lines[-1].split()[1:] == ["5", "1", "48", "20", "32", "0.00000085"]
    assert 3 * lines[1].count("█") < lines[4].count("█") > 10
    assert "█" not in lines[2]


def test_times_the_wrong_way_round_are_a_sentence(run: Run) -> None:
    result = run("--since", "2026-11-21", "--until", "2026-11-20")

    assert result.exit_code == 1
    assert "--until (2026-11-20 00:00) is not after --since (2026-11-21 00:00): nothing lies between." in result.stderr


def test_groups_have_names_as_they_are(run: Run) -> None:
    result = run("--by", "model", "--by", "key")

    assert [line.split()[:3] for line in result.stdout.splitlines()[1:-1]] == [
        ["a/model", "Ada", "2"],
        ["a/model", "key_1", "2"],
        ["b/[bold]", "Ada", "1"],
    ]


def test_bars_are_of_tokens_where_all_is_free(tmp_path: Path) -> None:
    database = Database.in_folder(tmp_path)
    asyncio.run(fill(database, [(entry(), replace(DONE, cost=Cost(0, 0)))]))
    database.close()

    result = CliRunner().invoke(app, ["usage", "--data", str(tmp_path)])

    assert result.stdout.splitlines()[0].split()[-1] == "tokens"
    assert "█" in result.stdout.splitlines()[1]


def test_one_line_a_request(run: Run) -> None:
    lines = [json.loads(line) for line in run("--requests", "--format", "jsonl").stdout.splitlines()]

    assert len({line["id"] for line in lines}) == 5
    assert {"id", "time", "key_name", "model", "status", "prompt_tokens", "completion_tokens", "cost"} <= set(lines[0])
    assert [line["status"] for line in lines] == [499, 200, 200, 500, 200]
    assert sum(line["prompt_tokens"] for line in lines) == 48


def test_requests_are_a_table_of_the_newest(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sightline.cli.usage._SHOWN", 4)

    result = run("--requests")

    assert len(result.stdout.splitlines()) == 5
    assert "499 cancelled" in result.stdout
    assert "500 engine_error" in result.stdout
    assert "The newest 4 are shown" in result.stderr


def test_csv_and_json_read_back(run: Run) -> None:
    table = list(csv.DictReader(io.StringIO(run("--by", "key", "--format", "csv").stdout)))
    both = json.loads(run("--by", "key", "--format", "json").stdout)
    lines = run("--by", "key", "--format", "jsonl").stdout.splitlines()
    none = json.loads(run("--until", "2020-01-01", "--format", "json").stdout)

    assert [row["requests"] for row in table] == [str(row["requests"]) for row in both["data"]] == ["3", "2"]
    assert [json.loads(line) for line in lines] == both["data"]
    assert none == {"object": "list", "data": []}


@pytest.mark.parametrize(
    ("arguments", "requests"),
    [
        (["--since", "2026-11-23"], 3),
        (["--until", "2026-11-23"], 2),
        (["--key", "Ada", "--model", "a/model"], 2),
        (["--since", "99999d"], 5),
        (["--since", "1h", "--until", "0h"], 0),
    ],
)
def test_only_what_is_asked_for(run: Run, arguments: list[str], requests: int) -> None:
    result = run("--requests", "--format", "jsonl", *arguments)

    assert len(result.stdout.splitlines()) == requests


def test_so_many_days_begin_at_midnight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database.in_folder(tmp_path)
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - 2 * DAY
    asyncio.run(fill(database, [(entry(midnight), DONE), (entry(midnight - timedelta(seconds=1)), DONE)]))
    database.close()

    result = CliRunner().invoke(app, ["usage", "--data", str(tmp_path), "--since", "2d", "--format", "jsonl"])

    assert [json.loads(line)["requests"] for line in result.stdout.splitlines()] == [1]


@pytest.mark.parametrize("arguments", [[], ["--requests"], ["--by", "key"], ["--model", "a/model"]])
def test_an_empty_ledger_is_a_friendly_line(tmp_path: Path, arguments: list[str]) -> None:
    Database.in_folder(tmp_path).close()

    result = CliRunner().invoke(app, ["usage", "--data", str(tmp_path), *arguments])

    assert result.exit_code == 0
    assert result.stdout.startswith("No requests yet")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--since", "soon"], "--since soon: give 7d"),
        (["--until", "2026-11-21T00:00:00"], "--until 2026-11-21T00:00:00: give 7d"),
        (["--since", "20261121"], "--since 20261121: give 7d"),
        (["--key", "Bob"], "No key has the name or id Bob"),
        (["--model", "gpt-4o"], "no request of a model gpt-4o. It has a/model, b/[bold]; an alias counts as"),
        (["--database", "mysql://x"], "postgresql://"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(run: Run, arguments: list[str], sentence: str) -> None:
    result = run(*arguments)

    assert result.exit_code == 1
    assert sentence in result.stderr


def test_a_database_that_fails_is_a_sentence_beside_the_answer(run: Run, failing: Callable[[str], None]) -> None:
    failing("store.read=error")

    result = run("--format", "csv")

    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 1, "more than the heading"
    assert result.stderr == "error: The database cannot be used at this moment: injected at store.read\n"


@pytest.mark.parametrize("command", [["usage"], ["ledger", "check"], ["keys", "list"]])
def test_database_of_an_older_version_stays_as_it_is(command: list[str], tmp_path: Path) -> None:
    database = Database.in_folder(tmp_path)
    database.transaction(lambda connection: connection.execute(text("UPDATE alembic_version SET version_num = '0003'")))

    result = CliRunner().invoke(app, [*command, "--data", str(tmp_path)])

    version = database.read(lambda connection: connection.execute(text("SELECT * FROM alembic_version")).scalar())
    database.close()
    assert result.exit_code != 0
    assert "is of an older Sightline" in result.stderr
    assert version == "0003"


def test_a_folder_without_database_is_named(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["usage", "--data", str(tmp_path / "none")])

    assert result.exit_code == 1
    assert "There is no database in" in result.stderr
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(("command", "status"), [(["usage"], 1), (["ledger", "check"], 2)])
def test_database_of_the_environment_is_the_one_that_is_read(
    command: list[str], status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the service does: another ledger than that of the service proves nothing."""
    Database.in_folder(tmp_path).close()
    monkeypatch.setenv("SIGHTLINE_DATABASE", "postgresql://nobody@127.0.0.1:1/none")

    result = CliRunner().invoke(app, [*command, "--data", str(tmp_path)])

    assert result.exit_code == status
    assert "nobody@127.0.0.1:1" in result.stderr


def test_a_postgres_is_read_by_its_url(postgres_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with fresh_database(postgres_server) as url:
        database = Database.at(url)
        asyncio.run(fill(database, [(entry(), DONE)]))
        database.close()

        result = CliRunner().invoke(app, ["usage", "--database", url, "--by", "model", "--format", "csv"])

    assert "a/model,1,0,12,5,8," in result.stdout
