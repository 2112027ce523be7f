"""Two services that share a Postgres: a key made through one works at the other, and is refused there once revoked."""

from __future__ import annotations

import time
from pathlib import Path

import httpx2
import pytest

from support.running import Running

pytestmark = pytest.mark.e2e


def test_keys_are_shared_and_revoked_within_a_second(
    tmp_path: Path, empty_postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGHTLINE_DATABASE", empty_postgres)
    folders = [tmp_path / name for name in ("one", "other")]
    for folder in folders:
        folder.mkdir()

    with Running(folders[0]) as one:
        first = one.wait_for(r"INFERENCE_API_KEY=(sk-sl-\S+)")
        with Running(folders[1]) as other:
            admin = {"authorization": f"Bearer {first}"}
            made = httpx2.post(f"{one.url}/v1/admin/keys", json={"name": "Ada"}, headers=admin).json()
            theirs = {"authorization": f"Bearer {made['value']}"}
            assert httpx2.get(f"{other.url}/v1/models", headers=theirs).status_code == 200

            gone = httpx2.delete(f"{one.url}/v1/admin/keys/{made['id']}", headers=admin)
            since = time.monotonic()
            here = httpx2.get(f"{one.url}/v1/models", headers=theirs)
            began, there = since, None
            while there is None or there.status_code == 200:
                assert began - since < 1.0, "a revoked key is good for longer than a second"
                began = time.monotonic()
                there = httpx2.get(f"{other.url}/v1/models", headers=theirs)

    assert (gone.status_code, here.status_code, there.status_code) == (200, 401, 401)
    assert "sk-sl-" not in other.said, "the second service must make no first key"
    assert empty_postgres not in one.said + other.said
    assert made["value"] not in one.said + other.said
    assert not list(tmp_path.rglob("sightline.db"))
