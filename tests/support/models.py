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
CARD = json.loads((BUNDLED_FOLDER / "sightline.json").read_text())


def with_pictures(folder: Path, **settings: Any) -> Path:
    """Make `folder` the bundled model, by links, with `settings` in its preprocessor_config.json, and told nothing
    but what is sent."""
    folder.mkdir()
    for file in BUNDLED_FOLDER.iterdir():
        if file.name not in ("preprocessor_config.json", "processor_config.json", "sightline.json"):
            (folder / file.name).symlink_to(file)
    card = CARD | {"ocr_max_chars": 0, "prompt_repetition": False}
    (folder / "sightline.json").write_text(json.dumps(card))
    given = json.loads((BUNDLED_FOLDER / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").write_text(json.dumps(given | settings))
    return folder
