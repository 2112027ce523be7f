"""`sightline keys`, and what every command says about itself and about its mistakes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import Result
from sqlalchemy import insert
from typer.testing import CliRunner

from sightline import __version__
from sightline.auth.keys import Keys
from sightline.cli import terminal
from sightline.cli.main import app
from sightline.metering.quota import period_of
from sightline.settings import merge_settings
from sightline.store.database import Database
from sightline.store.tables import key_spend
from support.databases import KINDS

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command with the data folder in a temporary place."""
    monkeypatch.setenv("SIGHTLINE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("SIGHTLINE_DATABASE", raising=False)
    monkeypatch.delenv("INFERENCE_API_KEY", raising=False)
    monkeypatch.delenv("SIGHTLINE_BASE_URL", raising=False)
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


def test_made_key_is_all_of_standard_output(run: Run) -> None:
    result = run("keys", "create", "Ada")

    assert result.exit_code == 0
    assert result.stdout.strip().startswith("sk-sl-")
    assert len(result.stdout.split()) == 1
    assert "for Ada" in result.stderr


@pytest.mark.parametrize("name", ["Ada", "[bold]Ada", "[/x]", "é" * 50])
def test_list_has_names_as_they_are_and_never_the_key(run: Run, name: str) -> None:
    secret = run("keys", "create", name).stdout.strip()

    result = run("keys", "list")

    assert result.exit_code == 0, result.output
    assert name in result.stdout
    assert f"…{secret[-4:]}" in result.stdout
    assert secret not in result.output


def test_list_is_whole_in_a_narrow_terminal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it shows of a key is what revoking it takes."""
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr(terminal.out, "_width", 60)
    run("keys", "create", "Ada of the long corridor", "--model", "a/long/model", "--requests-per-min", "60")

    (line,) = run("keys", "list").stdout.splitlines()[1:]

    assert run("keys", "revoke", line.split()[0]).exit_code == 0
    assert "Ada of the long corridor" in line
    assert "60 requests/min" in line


def test_revoked_key_is_shown_as_such(run: Run) -> None:
    run("keys", "create", "Ada")
    key_id = next(word for word in run("keys", "list").stdout.split() if word.startswith("key_"))

    assert run("keys", "revoke", key_id).exit_code == 0
    assert "revoked" in run("keys", "list").stdout
    again = run("keys", "revoke", key_id)
    assert again.exit_code == 1
    assert "No valid key has the id" in again.stderr


def test_revoking_the_last_key_that_may_manage_keys_says_so(run: Run) -> None:
    for name in ("Ada", "Bob"):
        run("keys", "create", name, "--permission", "admin")
    run("keys", "create", "Cora")
    ids = [line.split()[0] for line in run("keys", "list").stdout.splitlines()[1:]]

    told = [run("keys", "revoke", key_id).stderr for key_id in ids]

    assert ["may manage keys" in one for one in told] == [False, True, True]


def test_list_has_what_a_key_may_do_and_has_spent(run: Run, tmp_path: Path) -> None:
    terms = ["--permission", "admin", "--permission", "usage", "--model", "gpt-4o", "--requests-per-min", "60"]
    terms += ["--tokens-per-min", "9000", "--max-in-flight", "4", "--spend-limit", "5.00", "--spend-period", "month"]
    assert run("keys", "create", "Ada", "--expires", "2099-01-31", *terms).exit_code == 0
    assert run("keys", "create", "Bob").exit_code == 0
    spend(tmp_path / "data", 1_250_000_000)

    head, ada, bob = run("keys", "list").stdout.splitlines()

    assert head.split()[-3:] == ["models", "limits", "spent"]
    assert "valid until 2099-01-31 00:00" in ada
    assert (
        "admin usage      gpt-4o  60 requests/min, 9000 tokens/min, 4 at once, $5 a month  $1.25 of $5 this month"
        in ada
    )
    assert "valid " in bob
    assert bob.rstrip().endswith("inference usage  all     none")


def spend(data: Path, nanos: int) -> None:
    """Write down, as the ledger would, that the key with a limit has spent so much this month."""
    database = Database.in_folder(data)
    [key] = [key for key in Keys(database).all() if key.spending]
    period = period_of("month", datetime.now(UTC))
    row = {"key_id": key.id, "period": period, "reserved_nanos": 7, "settled_nanos": nanos}
    database.transaction(lambda connection: connection.execute(insert(key_spend).values(row)))
    database.close()


@pytest.mark.parametrize(
    ("expires", "hours"), [("30d", 720), ("12h", 12), ("2099-01-31T10:00", None), ("2099-01-31T10:00+02:00", None)]
)
def test_expiry_is_a_span_or_a_moment(run: Run, tmp_path: Path, expires: str, hours: int | None) -> None:
    assert run("keys", "create", "Ada", "--expires", expires).exit_code == 0

    database = Database.in_folder(tmp_path / "data")
    [key] = Keys(database).all()
    database.close()
    assert key.expires_at is not None
    if hours is not None:
        assert abs(key.expires_at - datetime.now(UTC) - timedelta(hours=hours)) < timedelta(minutes=5)
    else:
        assert key.expires_at == datetime(2099, 1, 31, 8 if "+02" in expires else 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("arguments", "sentences"),
    [
        (("--expires", "soon"), ["--expires takes days or hours"]),
        (("--expires", "9999999d"), ["--expires takes days or hours"]),
        (
            ("--expires", "2020-01-01"),
            ["--expires 2020-01-01 is past; give a later day, or a time from now like 30d."],
        ),
        (("--expires", "0h"), ["--expires 0h is past; give a later day"]),
        (("--permission", "root"), ["--permission must be 'inference', 'usage' or 'admin'"]),
        (("--model", ""), ["--model must have 1 or more characters"]),
        (("--spend-period", "day"), ["--spend-period is only for a spending limit"]),
        (
            ("--spend-limit", "$5", "--requests-per-min", "0"),
            ["--spend-limit must be US dollars", "--requests-per-min must"],
        ),
    ],
)
def test_terms_that_cannot_be_are_named_by_their_flags(
    run: Run, arguments: tuple[str, ...], sentences: list[str]
) -> None:
    result = run("keys", "create", "Ada", *arguments)

    assert result.exit_code == 1
    assert result.stdout == ""
    assert all(sentence in result.stderr for sentence in sentences)


def test_name_that_cannot_be_seen_is_refused(run: Run) -> None:
    assert "NAME must be text that can be seen" in run("keys", "create", "a\nb").stderr


def test_settings_file_says_where_the_database_is(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIGHTLINE_DATA")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    file = tmp_path / "sightline.toml"
    file.write_text(
        f'data = "{tmp_path / "elsewhere"}"\n[[upstreams]]\nurls = ["http://vllm:8000"]\nkey_env = "NONE"\n'
    )

    made = run("keys", "create", "Ada", "--config", str(file))

    assert made.exit_code == 0, made.output
    assert (tmp_path / "elsewhere" / "sightline.db").exists()
    assert not (tmp_path / "home").exists()
    for command in (("keys", "list"), ("usage",), ("ledger", "check")):
        assert run(*command, "--config", str(file)).exit_code == 0
        elsewhere = run(*command)
        assert elsewhere.exit_code != 0
        assert "--config" in elsewhere.stderr


def test_keys_of_a_postgres_are_there_for_every_folder(run: Run, empty_postgres: str, tmp_path: Path) -> None:
    assert run("keys", "create", "Ada", "--database", empty_postgres).exit_code == 0

    assert "Ada" in run("keys", "list", "--database", empty_postgres, "--data", str(tmp_path / "other")).stdout
    assert "Ada" not in run("keys", "list").stdout


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ada:hunter2@127.0.0.1:1/x",
        "postgresql://ada@127.0.0.1:1/x?password=hunter2",
        "postgresql://ada:hunter2@127.0.0.1:port/x",
        "postgresql://ada:hun@ter2@127.0.0.1:1/x",
        "mysql://ada:hunter2@127.0.0.1:1/x",
        "hunter2",
    ],
)
@pytest.mark.parametrize("command", [("keys", "list"), ("serve",)])
def test_password_of_a_database_is_never_shown(run: Run, url: str, command: tuple[str, ...]) -> None:
    result = run(*command, "--database", url)

    assert result.exit_code == 1, result.exception
    assert result.stderr.startswith("error: ")
    assert "ter2" not in result.output
    assert "ter2" not in repr(merge_settings({}, {"database": url}))


@pytest.mark.parametrize("command", [("list",), ("revoke", "key_1")])
def test_mistyped_folder_is_named_and_not_made(run: Run, tmp_path: Path, command: tuple[str, ...]) -> None:
    result = run("keys", *command, "--data", str(tmp_path / "none"))

    assert result.exit_code == 1
    assert "There is no database in" in result.stderr
    assert not (tmp_path / "none").exists()


def test_a_database_that_is_made_for_a_key_is_said(run: Run, empty_postgres: str, tmp_path: Path) -> None:
    for where in (("--data", str(tmp_path / "mistyped")), ("--database", empty_postgres)):
        first, again = run("keys", "create", "Ada", *where), run("keys", "create", "Bob", *where)

        assert first.stderr.startswith("There was no database in ")
        assert len(first.stderr.splitlines()) == 2
        assert "There was no database" not in again.stderr


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("command", [("usage", "--key"), ("usage", "--model"), ("keys", "revoke")])
def test_argument_that_is_not_utf_8_is_a_sentence(
    run: Run, kind: str, command: tuple[str, ...], request: pytest.FixtureRequest
) -> None:
    where = ("--database", request.getfixturevalue("empty_postgres")) if kind == "postgres" else ()
    assert run("keys", "create", "Ada", *where).exit_code == 0

    result = run(*command, os.fsdecode(b"a\xff"), *where)

    assert result.exit_code == 1, result.exception
    assert result.stderr.startswith(r"error: a\udcff is not UTF-8")


def test_folder_that_cannot_be_used_is_a_sentence(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    result = run("keys", "list", "--data", str(tmp_path / "file"))

    assert result.exit_code == 1
    assert result.stderr.startswith("error: The data folder")


def test_folder_of_others_is_a_sentence(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(path: Path, **_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "exists", deny)

    result = run("keys", "list", "--data", str(tmp_path))

    assert result.exit_code == 1
    assert result.stderr.endswith("cannot be used: Permission denied.\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["keys", "list", "--data", "~nobody-here/x"], "is below the home of nobody who is known here"),
        (["serve", "--data", "~nobody-here/x"], "is below the home of nobody who is known here"),
        (["serve", "--model", "m" * 300], "neither a folder nor a model"),
        (["serve", "--model", "~nobody-here/m"], "neither a folder nor a model"),
    ],
)
def test_names_that_no_system_has_are_sentences(run: Run, arguments: list[str], sentence: str) -> None:
    result = run(*arguments)

    assert result.exit_code == 1
    assert sentence in result.stderr


def test_redis_that_is_no_address_is_a_sentence(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_REDIS", "localhost:6379")

    result = run("serve")

    assert result.exit_code == 1
    assert "looks like redis://" in result.stderr


def test_what_a_terminals_encoding_lacks_is_spelt(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sightline", "keys", "list", "--data", str(tmp_path)]
    made = CliRunner().invoke(app, ["keys", "create", "Zoë", "--data", str(tmp_path)])
    assert made.exit_code == 0

    listed = subprocess.run(command, env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True, check=True)

    assert rb"Zo\xeb" in listed.stdout


@pytest.mark.parametrize(
    "command", [[], ["serve"], ["ask"], ["models"], ["keys"], ["keys", "create"], ["keys", "list"], ["keys", "revoke"]]
)
def test_help_is_there_for_every_command(run: Run, command: list[str]) -> None:
    result = run(*command, "--help")

    assert result.exit_code == 0
    assert "Usage: " in result.stdout


def test_version(run: Run) -> None:
    assert run("--version").stdout.strip() == f"sightline {__version__}"


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({}, "INFERENCE_API_KEY is not set"),
        ({"INFERENCE_API_KEY": "sk-sl-…"}, "characters that no key has"),
        ({"INFERENCE_API_KEY": "k", "SIGHTLINE_BASE_URL": "http://127.0.0.1:1/v1"}, "Nothing answers on"),
        ({"INFERENCE_API_KEY": "k", "SIGHTLINE_BASE_URL": "127.0.0.1:8000"}, "which is no address"),
        ({"INFERENCE_API_KEY": "k", "SIGHTLINE_BASE_URL": "http://a:b"}, "which is no address"),
        ({"INFERENCE_API_KEY": "k", "ALL_PROXY": "socks4://127.0.0.1:1"}, "The proxy that the environment names"),
    ],
)
def test_service_that_cannot_be_reached_is_a_sentence(
    run: Run, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], sentence: str
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    result = run("models")

    assert result.exit_code == 1, result.exception
    assert sentence in result.stderr


def test_picture_that_cannot_be_sent_is_a_sentence(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("INFERENCE_API_KEY", "k")

    drawing = tmp_path / "drawing.png"
    drawing.write_text("<svg/>")

    other, missing = run("ask", str(drawing), "What?"), run("ask", str(tmp_path / "none.png"), "What?")

    assert "send a png, jpeg, webp or gif" in other.stderr
    assert "cannot be read: No such file" in missing.stderr
    assert other.exit_code == missing.exit_code == 1
