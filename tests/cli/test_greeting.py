"""What a service says when it takes requests."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightline.admission.keys import Keys
from sightline.cli.serve import greet_first
from sightline.errors import StoreUnavailable
from sightline.settings import load_settings


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
