"""Questions that name a sign of the picture and ask what only finding it tells: learnt from, never asked by eval.

A sign is a pictogram or a written digit. Whether one is there is a bit that chance gets right half the time; where it
is and what is beside it are not, so these teach a question's words to find the sign that they name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pictures.asking import Fact
from pictures.base import pick

THERE = 0.62
"""Share of the signs asked for that are there, where it is learnt: of faces never seen a model says "no" too often."""
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")
WHERE = (
    "Where is {}?",
    "Where do you see {}?",
    "Where in the picture is {}?",
    "Say where {} is.",
    "At which place is {}?",
)
BESIDE = {
    (1, 0): (
        "What is to the right of {}?",
        "What comes after {}?",
        "What is next after {}?",
        "What follows {}?",
        "What is right of {}?",
    ),
    (-1, 0): (
        "What is to the left of {}?",
        "What comes before {}?",
        "What stands before {}?",
        "What is shown left of {}?",
        "What is left of {}?",
    ),
    (0, 1): ("What is below {}?", "What is under {}?", "What stands beneath {}?", "What is shown below {}?"),
    (0, -1): ("What is above {}?", "What is over {}?", "What stands on top of {}?", "What is shown above {}?"),
}
WHICH_OF = (
    "Which of these is there: {}?",
    "Which one do you see: {}?",
    "Which of these is in the picture: {}?",
    "Which is shown: {}?",
    "Is it {}?",
)
IS_AT = ("Is {1} {0}?", "Is the one {0} {1}?", "Do you see {1} {0}?", "Is what you see {0} {1}?", "Is there {1} {0}?")


@dataclass(frozen=True, slots=True)
class Signs:
    """Signs in rows of `columns`, row by row, by name; `others` are names of what is not there and not like it.

    `said` and `meant` write a name into a question about any such sign ("a bell") and about this one ("the bell").
    """

    skill: str
    names: Sequence[str]
    columns: int
    others: Sequence[str]
    said: Callable[[str], str]
    meant: Callable[[str], str]

    def place(self, i: int) -> str:
        """Say where the sign at an index is: `"on the left"`, `"at the bottom right"`, `"third from the left"`."""
        number, columns = len(self.names), self.columns
        if number == 1:
            return "in the middle"
        across = ("left", "right") if columns == 2 else ("left", "middle", "right")
        if columns == number:
            if number > 3:
                return f"{ORDINALS[i]} from the left"
            return "in the middle" if across[i] == "middle" else f"on the {across[i]}"
        rows = -(-number // columns)
        down = ("top", "bottom") if rows == 2 else ("top", "middle", "bottom")
        row, column = down[i // columns], across[i % columns]
        return "in the middle" if row == column else f"at the {row} {column}"


def matching(rng: np.random.Generator, signs: Signs) -> list[Fact]:
    """Return facts about one or two of the signs that are there but once, and about some that are not there."""
    counted = Counter(signs.names)
    once = [i for i, name in enumerate(signs.names) if counted[name] == 1]
    facts = [which_of(rng, signs), is_at(rng, signs), is_at(rng, signs)]
    if len(signs.names) == 1:
        return facts
    for i in rng.permutation(np.array(once, dtype=int))[:2]:
        asked = [words.format(signs.meant(signs.names[i])) for words in WHERE]
        facts.append(Fact("where", asked, signs.place(int(i)), weight=1.5))
    for i in rng.permutation(np.array(once, dtype=int))[:3]:
        facts += beside(rng, signs, int(i))
    return facts


def beside(rng: np.random.Generator, signs: Signs, i: int) -> list[Fact]:
    row, column = divmod(i, signs.columns)
    near: list[tuple[Sequence[str], int]] = []
    for (right, down), wordings in BESIDE.items():
        j = (row + down) * signs.columns + column + right
        if 0 <= column + right < signs.columns and 0 <= j < len(signs.names):
            near.append((wordings, j))
    if not near:
        return []
    wordings, j = near[int(rng.integers(len(near)))]
    return [Fact(signs.skill, [w.format(signs.meant(signs.names[i])) for w in wordings], signs.names[j], weight=1.5)]


def which_of(rng: np.random.Generator, signs: Signs) -> Fact:
    """Ask which of two or three is there."""
    there = pick(rng, signs.names)
    wrong = [signs.others[int(i)] for i in rng.permutation(len(signs.others))[: int(rng.integers(1, 3))]]
    options = [there, *wrong]
    said = [signs.said(options[int(i)]) for i in rng.permutation(len(options))]
    listed = f"{', '.join(said[:-1])} or {said[-1]}"
    return Fact(signs.skill, [words.format(listed) for words in WHICH_OF], there, weight=1.5)


def is_at(rng: np.random.Generator, signs: Signs) -> Fact:
    """Ask whether a place shows a sign: what it shows, what another place shows, or what none does."""
    i = int(rng.integers(len(signs.names)))
    there = signs.names[i]
    elsewhere = sorted({*signs.names} - {there})
    yes = bool(rng.random() < 0.5)
    wrong = pick(rng, elsewhere if elsewhere and rng.random() < 0.6 else signs.others)
    said = signs.said(there if yes else wrong)
    asked = [words.format(signs.place(i), said) for words in IS_AT]
    return Fact("yes/no", asked, "yes" if yes else "no", value=yes)
