"""Prompts to token counts, checked to the last control token; and the vocabulary for the way back.

In: a `Prompt`. Out: how many tokens the pipeline will make of it, after a check that every control token in it stands
where the template put one and nowhere else. The pipeline tokenises again; this count is the same by construction.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from sightline.engines.genai.answer import Vocabulary
from sightline.engines.genai.model import Model
from sightline.engines.genai.template import Prompt
from sightline.errors import EngineError

if TYPE_CHECKING:
    import openvino_genai

_BYTE_PIECE = re.compile(rb"<0x([0-9A-F]{2})>")
_BLANK = "\u2581".encode()


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


def read_vocabulary(tokenizer: openvino_genai.Tokenizer, model: Model) -> Vocabulary:
    """Return the bytes that each token id shows; control tokens and ids without a text show nothing."""
    pieces = [b""] * model.vocabulary_size
    for piece, number in tokenizer.get_vocab().items():
        pieces[number] = piece if model.has_byte_pieces else _shown(piece)
    for number in model.controls.values():
        pieces[number] = b""
    return Vocabulary(pieces=pieces, eos_ids=model.eos_ids, pad_id=model.pad_id)


def _shown(piece: bytes) -> bytes:
    byte = _BYTE_PIECE.fullmatch(piece)
    return bytes([int(byte[1], 16)]) if byte else piece.replace(_BLANK, b" ")
