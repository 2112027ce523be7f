"""Prompts to token counts, checked to the last control token.

In: a `Prompt`. Out: how many tokens the pipeline will make of it, after a check that every control token in it stands
where the template put one and nowhere else. The pipeline tokenises again; this count is the same by construction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sightline.engines.genai.model import Model
from sightline.engines.genai.template import Prompt
from sightline.errors import EngineError

if TYPE_CHECKING:
    import openvino_genai


class TokenCounter:
    """Counts the tokens of prompts for one model."""

    def __init__(self, tokenizer: openvino_genai.Tokenizer, model: Model) -> None:
        self._tokenizer = tokenizer
        self._controls = {spelling: number for spelling, number in model.controls.items() if spelling != "<unk>"}
        self._control_ids = np.array(sorted(self._controls.values()))
        self._added = self._ids("")

    @property
    def adds_opening(self) -> bool:
        """Whether the tokenizer itself puts the token in front that begins every prompt."""
        return bool(self._added)

    def count(self, prompt: Prompt) -> int:
        """Return the number of tokens of a prompt, images included.

        Raises:
            EngineError: a control token stands where the template placed none, or one is missing.
        """
        ids = np.asarray(self._ids(prompt.expanded))
        found = ids[np.isin(ids, self._control_ids)]
        expected = [*self._added, *(self._controls[spelling] for spelling in prompt.controls)]
        if not np.array_equal(found, expected):
            raise EngineError("the prompt could not be written safely for this model")
        return len(ids)

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=True).input_ids.data[0].tolist()
        return ids
