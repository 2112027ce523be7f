"""Model folders for tests: the bundled model's files, with other settings for its pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import sightline

BUNDLED_FOLDER = Path(sightline.__file__).parent / "bundled" / "peek-10m"


def with_pictures(folder: Path, **settings: Any) -> Path:
    """Make `folder` the bundled model, by links, with `settings` added to its preprocessor_config.json."""
    folder.mkdir()
    for file in BUNDLED_FOLDER.iterdir():
        if file.name not in ("preprocessor_config.json", "processor_config.json"):
            (folder / file.name).symlink_to(file)
    given = json.loads((BUNDLED_FOLDER / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").write_text(json.dumps(given | settings))
    return folder
