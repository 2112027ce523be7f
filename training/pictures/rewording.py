"""A question → the same question in other words, so that a model learns what is asked and not how.

In: a question as a list of wordings has it. Out: one that means the same. Rules look at the sentence alone and know
nothing of the picture; whoever calls keeps what comes out apart from the wordings of an examination.
"""

from __future__ import annotations

import re

import numpy as np

from pictures.base import pick
from pictures.rules import RULES

SWAPPED = 0.2
"""Share of the words that have a like one which are exchanged for it, in questions that quote nothing.

None of them heads a column or labels a field: "price" is not to ask for what stands under "Cost".
"""
ALIKE = (
    ("picture", "image", "photo", "photograph"),
    ("shown", "displayed"),
    ("printed", "written"),
    ("highest", "largest", "biggest", "greatest", "maximum"),
    ("lowest", "smallest", "least", "minimum"),
    ("called", "named"),
    ("lines", "rows"),
    ("words", "terms"),
    ("text", "writing"),
    ("ticked", "checked", "selected", "chosen", "marked"),
    ("contain", "have"),
    ("things", "objects"),
    ("first", "1st"),
    ("second", "2nd"),
    ("third", "3rd"),
    ("below", "under", "beneath"),
    ("above", "over"),
)
LIKE = {word: [other for other in group if other != word] for group in ALIKE for word in group}
WORD = re.compile(r"\b[a-z]+\b")


def reworded(rng: np.random.Generator, text: str) -> str:
    """Ask in other words: in another form, if there is one for it, and with like words for some."""
    known = [(found, ways) for pattern, ways in RULES if (found := pattern.fullmatch(text)) is not None]
    if known and "JSON" not in text:
        found, ways = pick(rng, known)
        made = pick(rng, ways).format(*(group for group in found.groups() if group))
        text = made[0].upper() + made[1:]
    if '"' in text:
        return text
    return WORD.sub(lambda word: swapped(rng, word.group()), text)


def swapped(rng: np.random.Generator, word: str) -> str:
    return pick(rng, LIKE[word]) if word in LIKE and rng.random() < SWAPPED else word
