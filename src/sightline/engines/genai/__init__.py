"""The engine for vision-language models, on OpenVINO GenAI: `engine.py` first, then in the order of its imports.

Importing the package loads no runtime: what counts a request's tokens before it is sent needs a tokenizer only.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sightline.engines.genai.engine import GenAIEngine


def create(path: str, model_id: str | None = None, **limits: str | int | float | bool) -> GenAIEngine:
    """Make the engine for the model in folder `path`; `limits` are fields of `Limits`."""
    from sightline.engines.genai.engine import GenAIEngine
    from sightline.engines.genai.loading import Limits

    return GenAIEngine(Path(path), model_id=model_id, limits=Limits(**limits))  # type: ignore[arg-type]
