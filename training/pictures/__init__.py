"""Pictures that the bundled model learns to read, drawn by this code, with questions whose answers are true.

`draw` gives the same picture for the same split, index and seed wherever the same fonts were gathered (gather.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from pictures.base import SPLITS, UNKNOWN, Glyph, Picture, Question, Split, rng_for
from pictures.bills import draw_receipt
from pictures.blocks import draw_block
from pictures.charts import draw_chart
from pictures.invoices import draw_invoice
from pictures.lines import draw_lines
from pictures.papers import draw_card, draw_form, draw_ticket
from pictures.screens import draw_screen
from pictures.tables import draw_table

__all__ = ["KINDS", "SPLITS", "UNKNOWN", "WEIGHTS", "Glyph", "Picture", "Question", "Split", "draw"]

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
}
# How often each kind is drawn unless the caller says otherwise.
WEIGHTS: dict[str, float] = dict.fromkeys(KINDS, 1.0)


def draw(split: Split, index: int, seed: int = 0, kinds: Mapping[str, float] | None = None) -> Picture:
    """Draw one picture; `kinds` are names with weights, all kinds as in WEIGHTS unless given."""
    rng = rng_for(split, index, seed)
    weights = dict(kinds or WEIGHTS)
    shares = np.array(list(weights.values()), np.float64)
    kind = list(weights)[int(rng.choice(len(shares), p=shares / shares.sum()))]
    return KINDS[kind](rng, split)
