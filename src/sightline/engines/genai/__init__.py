"""The engine for vision-language models, on OpenVINO GenAI: `engine.py` first, then in the order of its imports."""

from pathlib import Path

from sightline.engines.genai.engine import GenAIEngine
from sightline.engines.genai.loading import Limits

__all__ = ["GenAIEngine", "Limits", "create"]


def create(path: str, model_id: str | None = None, **limits: str | int | float | bool) -> GenAIEngine:
    """Make the engine for the model in folder `path`; `limits` are fields of `Limits`."""
    return GenAIEngine(Path(path), model_id=model_id, limits=Limits(**limits))  # type: ignore[arg-type]
