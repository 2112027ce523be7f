"""The engine for vision-language models, on OpenVINO GenAI: `engine.py` first, then in the order of its imports.

Importing the package loads no runtime: what counts a request's tokens before it is sent needs a tokenizer only.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sightline.engines.genai.engine import GenAIEngine
    from sightline.engines.genai.loading import Limits

__all__ = ["GenAIEngine", "Limits", "create"]

_PLACES = {"GenAIEngine": "sightline.engines.genai.engine", "Limits": "sightline.engines.genai.loading"}


def create(path: str, model_id: str | None = None, **limits: str | int | float | bool) -> GenAIEngine:
    """Make the engine for the model in folder `path`; `limits` are fields of `Limits`."""
    from sightline.engines.genai.engine import GenAIEngine
    from sightline.engines.genai.loading import Limits

    return GenAIEngine(Path(path), model_id=model_id, limits=Limits(**limits))  # type: ignore[arg-type]


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
