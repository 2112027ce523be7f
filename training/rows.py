"""Samples → rows of tokens, in exactly the layout that the server's prompt has.

In: samples and the tokenizer. Out: rows of a fixed length, each holding several samples. The questions about one
picture share one copy of it, if it comes before them: each is a segment that sees what is common to its sample and
itself but no other turn, at the positions it would have alone, so every turn is learnt as a first turn. In the layout
"talk" there is one segment: a real conversation. network.attention_allowed turns segments and blocks into the mask.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from phrasing import Turn
from samples import Sample
from tokenizer import BOS, END_OF_IMAGE, END_OF_TURN, IMAGE, PAD, START_OF_IMAGE, START_OF_TURN
from tokenizers import Tokenizer
from views import spell_views

from sightline.prompting.format import quoted, repeated

PICTURE = f"\n\n{START_OF_IMAGE}{END_OF_IMAGE}\n\n"
UNSEEN = "\n\n"
"""What stands in a picture's place where its text is read alone."""
ANSWER = f"{END_OF_TURN}\n{START_OF_TURN}model\n"
LENGTH_POWER = -0.4
"""The power of an answer's length by which each of its tokens weighs."""
MOST_AFTER = 6
"""Turns of a sample whose pictures follow the question: each has its own copy of what was read and seen."""
LONG_FIRST = 0.4
"""Share of the samples whose longest answer comes first: later on it would hardly ever find room."""
SEGMENTS = 64
"""As in network.py: `segment // SEGMENTS` is the sample in its row, `segment % SEGMENTS` the turn."""
LENGTHS = {"ids": np.int16, "positions": np.int16, "segments": np.int16, "slots": np.int32, "blocks": np.int16}
FILLS = {"ids": 0, "positions": 0, "segments": -1, "slots": -1, "blocks": 0}
Arrays = dict[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class Span:
    """Where in the taught tokens of all rows one turn's answer lies."""

    turn: Turn
    start: int
    end: int


class Written(NamedTuple):
    """A turn in tokens; of the answer's, whether each is taught."""

    turn: Turn
    question: list[int]
    answer: list[tuple[int, bool]]


@dataclass(slots=True)
class Group:
    """A sample in tokens and in its row: what its turns share, the turns that wait, where the next one begins."""

    layout: str
    common: list[int]
    waiting: deque[Written]
    slot: int
    row: int = 0
    number: int = 0
    position: int = 0
    turns: int = 0


@dataclass(slots=True)
class Rows:
    """Rows as they fill: parallel lists, one entry a token; `slot` is the token of all pictures shown there."""

    columns: list[dict[str, list[int]]]
    taught: list[tuple[int, int, int, float]] = field(default_factory=list)
    """(row, place, token, weight): the token taught at that place."""
    spans: list[Span] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)
    blocks: list[int] = field(default_factory=list)

    def held(self, row: int) -> int:
        return len(self.columns[row]["ids"])

    def arrays(self, length: int) -> Arrays:
        """Return the rows filled up to `length`; `taught` holds places counted through all rows."""
        made: Arrays = {}
        for name, kind in LENGTHS.items():
            filled = np.full((len(self.columns), length), FILLS[name], kind)
            for row, columns in enumerate(self.columns):
                filled[row, : len(columns[name])] = columns[name]
            made[name] = filled
        made["taught"] = np.array([row * length + place for row, place, _, _ in self.taught], np.int64)
        made["targets"] = np.array([token for _, _, token, _ in self.taught], np.int64)
        made["weights"] = np.array([weight for *_, weight in self.taught], np.float32)
        return made


class RowWriter:
    """Writes rows of `length` tokens with one tokenizer and one number of tokens a picture."""

    def __init__(self, tokenizer: Tokenizer, *, image_tokens: int, length: int) -> None:
        self.tokenizer, self.image_tokens, self.length = tokenizer, image_tokens, length
        self.image, self.end_of_image, self.bos, self.end_of_turn, self.pad = (
            tokenizer.token_to_id(token) for token in (IMAGE, END_OF_IMAGE, BOS, END_OF_TURN, PAD)
        )

    def encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def write(self, samples: Sequence[Sample], count: int, rng: np.random.Generator) -> Rows:
        """Fill `count` rows: each sample with its first turn, as long as there is room, then turns in rotation.

        The longest samples choose their rows first, each the one that will hold least.
        """
        rows = Rows([{name: [] for name in LENGTHS} for _ in range(count)], groups=[0] * count, blocks=[0] * count)
        groups, slot = [], 0
        for sample in samples:
            groups.append(self.group_of(sample, slot, rng))
            slot += self.image_tokens * sum(map(len, sample.images))
        loads = [0] * count
        for group in sorted(groups, key=self.need, reverse=True):
            group.row = loads.index(min(loads))
            if self.begin(rows, group):
                loads[group.row] += self.need(group)
        groups = [group for group in groups if group.turns]
        while groups:
            groups = [group for group in groups if self.add_turn(rows, group)]
        return rows

    def group_of(self, sample: Sample, slot: int, rng: np.random.Generator) -> Group:
        """Write a sample's tokens: what its turns share, and each turn."""
        head = f"{START_OF_TURN}user\n" + (f"{sample.system}\n\n" if sample.system else "")
        seen = [spell_views([PICTURE] * len(views)) for views in sample.images] or [UNSEEN] * len(sample.readings)
        pictures = "".join(shown + quoted(reading) for shown, reading in zip(seen, sample.readings, strict=True))
        doubled = 2 if rng.random() < 0.15 else 1  # Some servers' templates write <bos>, their tokenizers another.
        after = sample.layout == "after"
        common = [self.bos] * doubled + self.encode(head if after else head + pictures)
        waiting: deque[Written] = deque()
        for turn in sample.turns:
            asked = turn.question + (pictures + repeated(turn.question) if after else "")
            if sample.layout == "talk" and waiting:
                asked = f"\n{START_OF_TURN}user\n{asked}"
            answer = [(token, taught) for text, taught in turn.pieces if text for token in self.encode(text)]
            waiting.append(Written(turn, self.encode(asked + ANSWER), [*answer, (self.end_of_turn, True)]))
        if sample.layout != "talk" and rng.random() < LONG_FIRST:
            waiting.rotate(-max(range(len(waiting)), key=lambda place: len(waiting[place].answer), default=0))
        return Group(sample.layout, common, waiting, slot)

    def need(self, group: Group) -> int:
        """Return how many tokens a group would fill."""
        turns = list(group.waiting)[: MOST_AFTER if group.layout == "after" else None]
        return self.size(group.common) + sum(self.size(turn.question) + len(turn.answer) for turn in turns)

    def size(self, ids: list[int]) -> int:
        """Return the tokens of `ids` and of the pictures shown among them."""
        return len(ids) + self.image_tokens * ids.count(self.end_of_image)

    def begin(self, rows: Rows, group: Group) -> bool:
        """Place a group's common part and its first turn in its row; False if that would not fit there."""
        if rows.held(group.row) + self.size(group.common) + 48 > self.length:
            return False
        before = rows.held(group.row)
        group.number = rows.groups[group.row]
        self.extend(rows, group, group.common, segment=0)
        while group.turns == 0 and group.waiting:
            self.add_turn(rows, group)
        if group.turns == 0:  # What nothing is asked about leaves its room to others.
            for column in rows.columns[group.row].values():
                del column[before:]
            return False
        rows.groups[group.row] += 1
        return True

    def add_turn(self, rows: Rows, group: Group) -> bool:
        """Append the next of a group's turns that fits; False when the group is done."""
        most = MOST_AFTER if group.layout == "after" else SEGMENTS - 2
        while group.waiting and group.turns < most:
            turn = group.waiting.popleft()
            if rows.held(group.row) + self.size(turn.question) + len(turn.answer) <= self.length:
                self.write_turn(rows, group, turn)
                return True
            if group.layout == "talk":
                group.waiting.clear()
        return False

    def write_turn(self, rows: Rows, group: Group, written: Written) -> None:
        turn, question, answer = written
        group.turns += 1
        segment = 0 if group.layout == "talk" else group.turns
        start, slot = group.position, group.slot
        self.extend(rows, group, question, segment=segment)
        before = rows.held(group.row)
        self.extend(rows, group, [token for token, _ in answer], segment=segment)
        weight = sum(taught for _, taught in answer) ** LENGTH_POWER
        first = len(rows.taught)
        rows.taught += [
            (group.row, before + i - 1, token, weight) for i, (token, taught) in enumerate(answer) if taught
        ]
        rows.spans.append(Span(turn, first, len(rows.taught)))
        if group.layout != "talk":
            group.position, group.slot = start, slot

    def extend(self, rows: Rows, group: Group, ids: list[int], *, segment: int) -> None:
        """Append tokens to the group's row, each picture's end preceded by the picture's own tokens."""
        columns, mark = rows.columns[group.row], group.number * SEGMENTS + segment
        for token in ids:
            if token == self.end_of_image:
                rows.blocks[group.row] += 1
                count = self.image_tokens
                columns["ids"] += [self.image] * count
                columns["positions"] += range(group.position, group.position + count)
                columns["segments"] += [mark] * count
                columns["slots"] += range(group.slot, group.slot + count)
                columns["blocks"] += [rows.blocks[group.row]] * count
                group.position, group.slot = group.position + count, group.slot + count
            columns["ids"].append(token)
            columns["positions"].append(group.position)
            columns["segments"].append(mark)
            columns["slots"].append(-1)
            columns["blocks"].append(0)
            group.position += 1
