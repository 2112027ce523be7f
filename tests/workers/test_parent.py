"""What a parent hands its workers of the settings."""

from __future__ import annotations

import pytest

from sightline.checks import LARGE_SHARE
from sightline.settings import ServerSettings, Settings, settings_of, tree_of
from sightline.workers.parent import share


@pytest.mark.parametrize("workers", [1, 4, 64, 1000])
def test_each_of_any_number_of_workers_can_hold_a_body(workers: int) -> None:
    settings = Settings(server=ServerSettings(workers=workers, max_body_bytes=8_000_000))

    theirs = share(settings, workers)

    assert theirs.server.max_held_bytes * LARGE_SHARE >= 8_000_000
    assert theirs.server.max_held_bytes >= settings.server.max_held_bytes // workers
    assert settings_of(tree_of(theirs)) == theirs


def test_few_workers_part_what_is_held_evenly() -> None:
    assert share(Settings(), 4).server.max_held_bytes == Settings().server.max_held_bytes // 4
