"""Prompts to token counts, checked to the last control token.

In: a `Prompt`. Out: how many tokens the pipeline will make of it, after a check that every control token in it stands
where the template put one and nowhere else. The pipeline tokenises again; this count is the same by construction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sightline.engines.genai.model import Model
from sightline.engines.genai.template import Prompt, PromptWriter
from sightline.errors import EngineError

if TYPE_CHECKING:
    import openvino_genai


class TokenCounter:
    """Counts the tokens of prompts for one model."""

    def __init__(self, tokenizer: openvino_genai.Tokenizer, model: Model) -> None:
        self._tokenizer = tokenizer
        self._controls = {spelling: number for spelling, number in model.controls.items() if spelling != "<unk>"}
        self._control_ids = frozenset(self._controls.values())
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
        ids = self._ids(prompt.expanded)
        found = [number for number in ids if number in self._control_ids]
        if found != [*self._added, *(self._controls[spelling] for spelling in prompt.controls)]:
            raise EngineError("the prompt could not be written safely for this model")
        return len(ids)

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=True).input_ids.data[0].tolist()
        return ids


def prepare(tokenizer: openvino_genai.Tokenizer, model: Model) -> tuple[PromptWriter, TokenCounter]:
    """Return what writes a model's prompts and what counts them, for the engine and for who counts before sending."""
    counter = TokenCounter(tokenizer, model)
    opening = "" if counter.adds_opening else tokenizer.get_bos_token()
    writer = PromptWriter(model.family, model.controls, image_tokens=model.image.tokens, opening=opening)
    return writer, counter
