"""A sample → one row of tokens, in exactly the layout that the server's prompt has.

In: a `Sample` and the tokenizer. Out: a `Row` of fixed length. Several turns share one copy of the pictures: each is a
segment that sees the common prefix and itself but no other turn, at the positions it would have alone, so every turn
is learnt as a first turn. In the layout "talk" there is one segment: a real conversation.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from phrasing import Turn
from talks import Sample
from tokenizer import BOS, END_OF_IMAGE, END_OF_TURN, IMAGE, START_OF_IMAGE, START_OF_TURN
from transformers import PreTrainedTokenizerFast

IGNORED = -100
PICTURE = f"\n\n{START_OF_IMAGE}{END_OF_IMAGE}\n\n"
ANSWER = f"{END_OF_TURN}\n{START_OF_TURN}model\n"
Ints = NDArray[np.int64]


@dataclass(slots=True)
class Row:
    """Parallel lists, one entry a token: `slot` numbers the picture token shown there (-1: text), `block` the
    picture copy it belongs to (0: text), `label` the token taught at that place; `spans` says where each turn's
    labels lie."""

    ids: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    segments: list[int] = field(default_factory=list)
    slots: list[int] = field(default_factory=list)
    blocks: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    spans: list[tuple[Turn, int, int]] = field(default_factory=list)

    def padded(self, length: int, pad: int) -> dict[str, Ints]:
        short = length - len(self.ids)
        fills = {"ids": pad, "positions": 0, "segments": -1, "slots": -1, "blocks": 0, "labels": IGNORED}
        return {name: np.array(getattr(self, name) + [fill] * short) for name, fill in fills.items()}


class RowWriter:
    """Writes rows with one tokenizer and one number of tokens a picture."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, *, image_tokens: int, length: int) -> None:
        self.encode_text = tokenizer.backend_tokenizer.encode
        self.image_tokens, self.length = image_tokens, length
        self.image, self.end_of_image = tokenizer.convert_tokens_to_ids([IMAGE, END_OF_IMAGE])
        self.bos = tokenizer.convert_tokens_to_ids(BOS)

    def encode(self, text: str) -> list[int]:
        return self.encode_text(text, add_special_tokens=False).ids

    def write(self, sample: Sample, rng: np.random.Generator) -> Row:
        """Fill a row with those of the sample's turns that fit."""
        row = Row()
        head = f"{START_OF_TURN}user\n" + (f"{sample.system}\n\n" if sample.system else "")
        pictures = PICTURE * len(sample.scenes)
        common = head + pictures if sample.layout in ("before", "talk") else head
        doubled = rng.random() < 0.25  # Some servers' templates write <bos> and their tokenizers add another.
        self.extend(row, [self.bos] * (2 if doubled else 1) + self.encode(common), segment=0, first_slot=0)
        start = len(row.ids)
        for number, turn in enumerate(sample.turns):
            segment = 0 if sample.layout == "talk" else number + 1
            asked = turn.question + (pictures if sample.layout == "after" else "")
            if sample.layout == "talk" and number:
                asked = f"\n{START_OF_TURN}user\n{asked}"
            position = len(row.ids) if sample.layout == "talk" else start
            fits = self.add_turn(row, asked, turn, segment=segment, position=position)
            if not fits and sample.layout == "talk":
                break
        return row

    def add_turn(self, row: Row, asked: str, turn: Turn, *, segment: int, position: int) -> bool:
        """Append one turn at `position`; return False, leaving the row alone, if it does not fit."""
        question = self.encode(asked + ANSWER)
        answer = [(token, taught) for text, taught in turn.pieces if text for token in self.encode(text)]
        answer.append((self.encode(END_OF_TURN)[0], True))
        shown = self.image_tokens * question.count(self.end_of_image)
        if len(row.ids) + len(question) + shown + len(answer) > self.length:
            return False
        self.extend(row, question, segment=segment, first_slot=0, position=position)
        before = len(row.ids)
        self.extend(row, [token for token, _ in answer], segment=segment, first_slot=0, position=row.positions[-1] + 1)
        for i, (token, taught) in enumerate(answer):
            row.labels[before + i - 1] = token if taught else IGNORED
        row.spans.append((turn, before - 1, len(row.ids) - 1))
        return True

    def extend(self, row: Row, ids: list[int], *, segment: int, first_slot: int, position: int = 0) -> None:
        """Append tokens, each picture's end preceded by the picture's own tokens."""
        slot, block = first_slot, max(row.blocks, default=0)
        for token in ids:
            if token == self.end_of_image:
                block += 1
                for _ in range(self.image_tokens):
                    self.append(row, self.image, position, segment, slot, block)
                    position, slot = position + 1, slot + 1
            self.append(row, token, position, segment, -1, 0)
            position += 1

    def append(self, row: Row, token: int, position: int, segment: int, slot: int, block: int) -> None:
        row.ids.append(token)
        row.positions.append(position)
        row.segments.append(segment)
        row.slots.append(slot)
        row.blocks.append(block)
        row.labels.append(IGNORED)


def attention_allowed(segments: Ints, blocks: Ints) -> NDArray[np.bool_]:
    """Return (length, length) or batched: what each token may look at."""
    length = segments.shape[-1]
    causal = np.tri(length, dtype=bool)
    here, there = segments[..., :, None], segments[..., None, :]
    seen = causal & ((there == 0) | (there == here))
    return seen | ((blocks[..., :, None] == blocks[..., None, :]) & (blocks[..., :, None] > 0))
