"""Structured logs: JSON or lines for a person, never a key, prompt or picture."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import structlog
from structlog.contextvars import bound_contextvars

from sightline.log import configure_logging, get_logger


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def fail() -> None:
    key = "sk-sl-very-secret"
    raise ValueError("it broke" if key else "")


def test_json_has_event_level_time_module_and_request(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging()

    with bound_contextvars(request_id="req_1"):
        get_logger("somewhere").info("happened", ms=3)

    line = json.loads(capsys.readouterr().err)
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "happened", "level": "info", "module": "somewhere", "ms": 3, "request_id": "req_1"}


def test_nothing_that_is_logged_steers_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(json=False)

    get_logger("m").info("request", path="/\x1b]0;owned\x07\x1b[2J\x9b2J")

    shown = capsys.readouterr().err
    assert r"/\x1b]0;owned\x07\x1b[2J\x9b2J" in shown
    assert not set(shown) & set("\x07\x9b")
    assert "\x1b]" not in shown


@pytest.mark.parametrize("as_json", [True, False])
def test_secrets_are_left_out(capsys: pytest.CaptureFixture[str], as_json: bool) -> None:
    configure_logging(json=as_json)

    get_logger("m").info("event", authorization="sk-sl-1", key="sk-sl-2", prompt="sk-sl-3", harmless="yes")

    shown = capsys.readouterr().err
    assert "sk-sl" not in shown
    assert "yes" in shown


@pytest.mark.parametrize("as_json", [True, False])
def test_trace_shows_the_code_and_not_the_values(capsys: pytest.CaptureFixture[str], as_json: bool) -> None:
    configure_logging(json=as_json)

    try:
        fail()
    except ValueError:
        get_logger("m").exception("broke")

    shown = capsys.readouterr().err
    assert "ValueError: it broke" in shown
    assert "locals" not in shown
    assert shown.count("sk-sl-very-secret") == 0


def test_what_no_encoding_has_is_written_as_an_escape(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(json=True)

    get_logger("m").info("event", value="\ud800")

    assert json.loads(capsys.readouterr().err)["value"] == "\ud800"
