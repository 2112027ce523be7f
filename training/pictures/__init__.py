"""Pictures that the bundled model learns to read, drawn by this code, with questions whose answers are true.

`draw` gives the same picture for the same split, index and seed wherever the same fonts were gathered (gather.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from pictures.base import SPLITS, UNKNOWN, Glyph, Picture, Question, Split, rng_for
from pictures.bills import draw_receipt
from pictures.blocks import draw_block
from pictures.charts import draw_chart
from pictures.display import draw_display
from pictures.emblems import draw_emblems
from pictures.figures import draw_crowd, draw_pair, draw_shapes
from pictures.invoices import draw_invoice
from pictures.lines import draw_lines, read_out
from pictures.nothing import draw_nothing
from pictures.papers import draw_card, draw_form, draw_ticket
from pictures.scrawl import draw_digits
from pictures.screens import draw_screen
from pictures.signs import draw_sign
from pictures.symbols import NAMES
from pictures.tables import draw_table
from pictures.twins import draw_twins

__all__ = [
    "KINDS",
    "NAMES",
    "SPLITS",
    "UNKNOWN",
    "WEIGHTS",
    "Glyph",
    "Picture",
    "Question",
    "Split",
    "draw",
    "read_out",
]

LARGE = (draw_receipt, draw_invoice, draw_form, draw_table, draw_block)


def draw_large(rng: np.random.Generator, split: Split) -> Picture:
    """Draw a document whose small print is 12 px at a view of 896: the one kind that 448 pixels may not show."""
    picture = LARGE[int(rng.integers(len(LARGE)))](rng, split, large=True)
    return replace(picture, kind="large")


Draw = Callable[[np.random.Generator, Split], Picture]
KINDS: dict[str, Draw] = {
    "lines": draw_lines,
    "receipt": draw_receipt,
    "invoice": draw_invoice,
    "form": draw_form,
    "ticket": draw_ticket,
    "card": draw_card,
    "block": draw_block,
    "table": draw_table,
    "chart": draw_chart,
    "screen": draw_screen,
    "shapes": draw_shapes,
    "crowd": draw_crowd,
    "pair": draw_pair,
    "twins": draw_twins,
    "digits": draw_digits,
    "display": draw_display,
    "emblems": draw_emblems,
    "sign": draw_sign,
    "nothing": draw_nothing,
    "large": draw_large,
}
# How often each kind is drawn unless the caller says otherwise.
WEIGHTS: dict[str, float] = dict.fromkeys(KINDS, 1.0) | {
    "lines": 3.0,
    "block": 2.0,
    "table": 1.3,
    "receipt": 1.3,
    "chart": 1.8,
    "screen": 1.3,
    "shapes": 2.0,
    "emblems": 0.8,
    "crowd": 1.8,
    "pair": 0.6,
    "display": 0.5,
    "nothing": 1.4,
    "large": 1.0,
}


def draw(split: Split, index: int, seed: int = 0, kinds: Mapping[str, float] | None = None) -> Picture:
    """Draw one picture; `kinds` are names with weights, all kinds as in WEIGHTS unless given."""
    rng = rng_for(split, index, seed)
    weights = dict(kinds or WEIGHTS)
    shares = np.array(list(weights.values()), np.float64)
    kind = list(weights)[int(rng.choice(len(shares), p=shares / shares.sum()))]
    return KINDS[kind](rng, split)
