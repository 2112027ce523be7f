"""What a service says when it takes requests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sightline.admission.keys import Keys
from sightline.cli.greeting import greet_first
from sightline.errors import StoreUnavailable
from sightline.settings import load_settings, merge_settings


def test_a_database_that_fails_keeps_nobody_from_being_told_the_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(keys: Keys) -> None:
        raise StoreUnavailable("The database does not answer.")

    monkeypatch.setattr(Keys, "all", fail)

    greet_first(load_settings({"data": tmp_path}, environ={}), 8001)

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

    greet_first(load_settings({}, environ={}), 8001)

    told = capsys.readouterr().err
    assert "keys create NAME)" in told
    assert "export SIGHTLINE_BASE_URL=http://127.0.0.1:8001/v1" in told
