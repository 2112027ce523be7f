"""Model folders for tests: the bundled model's files, with other settings for its pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import sightline

BUNDLED_FOLDER = Path(sightline.__file__).parent / "bundled" / "peek-12m"
_CONFIG = json.loads((BUNDLED_FOLDER / "config.json").read_text())
IMAGE_TOKENS = int(_CONFIG["mm_tokens_per_image"])
"""Of a view of the bundled model."""
SIDE_PX = int(_CONFIG["vision_config"]["image_size"])
"""Of a view's side."""
READ_CHARACTERS = int(json.loads((BUNDLED_FOLDER / "sightline.json").read_text())["read_characters"])
"""Of a picture's text, at most, as the bundled model has it read."""


def with_pictures(folder: Path, **settings: Any) -> Path:
    """Make `folder` the bundled model, by links, with `settings` added to its preprocessor_config.json, and unread."""
    folder.mkdir()
    for file in BUNDLED_FOLDER.iterdir():
        if file.name not in ("preprocessor_config.json", "processor_config.json", "sightline.json"):
            (folder / file.name).symlink_to(file)
    card = json.loads((BUNDLED_FOLDER / "sightline.json").read_text()) | {"read_characters": 0}
    (folder / "sightline.json").write_text(json.dumps(card))
    given = json.loads((BUNDLED_FOLDER / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").write_text(json.dumps(given | settings))
    return folder
