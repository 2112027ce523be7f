"""What a service says when it takes requests."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from sightline.auth.keys import ApiKey, Keys
from sightline.cli.greeting import greet_first
from sightline.errors import StoreUnavailable
from sightline.settings import merge_settings
from sightline.store.database import Database
from support.databases import KINDS


def test_a_database_that_fails_keeps_nobody_from_being_told_the_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(keys: Keys) -> None:
        raise StoreUnavailable("The database does not answer.")

    monkeypatch.setattr(Keys, "all", fail)

    greet_first(merge_settings({}, {"data": tmp_path}, environ={}), 8001)

    told = capsys.readouterr().err
    assert "The database does not answer." in told
    assert "Ready on http://127.0.0.1:8001/v1" in told
    assert "INFERENCE_API_KEY" not in told


@pytest.mark.parametrize(
    ("settings", "model"),
    [
        ({}, "paddleocr/pp-ocr-v6-small/fp-32"),
        ({"engines": [{"kind": "genai", "options": {"path": "/m", "model_id": "a/b"}}]}, "a/b"),
        ({"upstreams": [{"urls": ["http://127.0.0.1:1"], "models": {"c/d": {"id": "d"}}}]}, "c/d"),
        ({"upstreams": [{"urls": ["http://127.0.0.1:1"]}]}, "MODEL"),
    ],
)
def test_what_a_first_start_prints_fits_the_service_that_was_started(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], settings: dict[str, Any], model: str
) -> None:
    greet_first(merge_settings({"data": str(tmp_path / "mine"), **settings}, {}, environ={}), 8000)

    told = capsys.readouterr().err
    assert f'"model": "{model}"' in told
    assert ("Its models: " in told) == (model == "MODEL")
    assert f"keys create NAME --data {tmp_path / 'mine'})" in told
    assert "SIGHTLINE_BASE_URL" not in told


def test_the_usual_folder_needs_no_flag(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    greet_first(merge_settings({}, {}, environ={}), 8001)

    told = capsys.readouterr().err
    assert "keys create NAME)" in told
    assert "export SIGHTLINE_BASE_URL=http://127.0.0.1:8001/v1" in told


@pytest.mark.parametrize("kind", KINDS)
def test_of_two_first_starts_at_once_one_makes_a_key(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = request.getfixturevalue("empty_postgres") if kind == "postgres" else None
    settings = merge_settings({}, {"data": tmp_path, "database": url}, environ={})
    look, have_looked = Keys.all, Barrier(2, timeout=10)

    def look_together(keys: Keys) -> list[ApiKey]:
        found = look(keys)
        have_looked.wait()
        return found

    database = Database.open(tmp_path, url or "")
    with monkeypatch.context() as patch, ThreadPoolExecutor(2) as starts:
        patch.setattr(Keys, "all", look_together)
        list(starts.map(lambda port: greet_first(settings, port), (8001, 8002)))

    assert [key.name for key in Keys(database).all()] == ["first"]
    database.close()
