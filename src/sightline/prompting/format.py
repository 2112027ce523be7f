"""What a small model is told around a picture: the text read on it, in quotes, and a question said again.

In: lines as the transcriber gives them, cells parted by tabs. Out: the quote. Small models do not count lines and tabs;
so lines say which they are, and in lines of three cells or more each cell says its column, as in a spreadsheet. Empty
cells are left out then. Nor do they compare numbers well: of labels with a number each, as charts have them, a plus
follows the largest, +2 the next and so on, and a minus the smallest. Check boxes stand behind their labels, wherever
they were drawn. A question in front of its pictures is read before there is anything to look for, so it is said once
more behind them. Knows no other module, so that training writes its prompts with the same code.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

QUOTES = '"""'
LEAST_CELLS = 3
"""Cells of a line that are given letters; two are told apart by being first and last."""
LETTERS = 26
MOST_REPEATED = 500
"""Characters of what is said again: questions are shorter; longer instructions would fill a small model's context."""
LABELLED = 2
LEAST_COMPARED, MOST_RANKS = 3, 12
FIGURE = re.compile(r"(~?[$€£]?)(-?\d{1,3}(?:,\d{3})+|-?\d{1,4}(?:\.\d)?)( ?[%kKM]?)")
"""A number as charts have them; prices have two decimals, numbers of phones and orders more digits."""
TIMES = {"K": 1e3, "M": 1e6}
SUM = re.compile(r"(?:sub|grand )?total|sum|balance|amount", re.IGNORECASE)
"""How a line begins that is compared with no other."""
TICKED_FIRST = re.compile(r"([☑□]) ([^☑□]+)(?= [☑□]|$)")
SHARE = re.compile(r".+ (\d+(?:\.\d)?)(%)")
"""A label and its number in one cell, as in the legends of pies."""


class Figure(NamedTuple):
    """A number in a text: the line and the cell in which it ends, what it counts, its value."""

    line: int
    cell: int
    unit: str
    value: float


def quoted(text: str) -> str:
    """Return a picture's text as models are given it; "" stays so."""
    if not text:
        return ""
    rows = _marked([[_labelled(cell) for cell in line.split("\t")] for line in text.split("\n")])
    lines = "\n".join(f"{number} {_lettered(row)}" for number, row in enumerate(rows, 1))
    return f"{QUOTES}\n{lines}\n{QUOTES}"


def repeated(text: str) -> str:
    """Return what is said again behind pictures of all the text in front of them: the whole, or nothing of a long one.

    Source: "Prompt Repetition Improves Non-Reasoning LLMs" (Google Research, 2025), which repeats whole prompts.
    """
    text = text.strip()
    return text if len(text) <= MOST_REPEATED else ""


def whole_lines(text: str, most: int) -> str:
    """Return the lines of `text` that fit into `most` characters; of a first line that does not, what fits."""
    text = text.strip("\n")
    if len(text) <= most:
        return text
    end = text.rfind("\n", 0, most + 1)
    return text[: end if end > 0 else most]


def _marked(rows: list[list[str]]) -> list[list[str]]:
    """Mark with their ranks the numbers of each run of lines whose cells are a label and its number; equal ones share
    a rank."""
    found = [_figures(cells, line) for line, cells in enumerate(rows)]
    for unit, run in groupby(found, _unit):
        figures = [figure for line in run for figure in line]
        if unit is None or len(figures) < LEAST_COMPARED:
            continue
        values = sorted({figure.value for figure in figures}, reverse=True)
        signs = {value: f" +{rank}" for rank, value in enumerate(values, 1) if rank <= MOST_RANKS}
        signs |= {values[0]: " +", values[-1]: " -"}
        for figure in figures if len(values) > 1 else []:
            rows[figure.line][figure.cell] += signs.get(figure.value, "")
    return rows


def _unit(figures: Sequence[Figure]) -> str | None:
    """Return the unit of a line's numbers; None where there are none, or of several."""
    units = {figure.unit for figure in figures}
    return units.pop() if len(units) == 1 else None


def _figures(cells: Sequence[str], line: int) -> list[Figure]:
    """Return the numbers of a line if all its cells are a label and its number, side by side or in one cell."""
    if SUM.match(cells[0]):
        return []
    if len(cells) == LABELLED and cells[0] and (match := FIGURE.fullmatch(cells[1])):
        unit = match[3].strip()
        value = float(match[2].replace(",", "")) * TIMES.get(unit.upper(), 1.0)
        return [Figure(line, 1, match[1].strip("~") + ("" if unit.upper() in TIMES else unit), value)]
    matches = [SHARE.fullmatch(cell) for cell in cells]
    return [
        Figure(line, cell, match[2], float(match[1])) for cell, match in enumerate(matches) if match and all(matches)
    ]


def _labelled(cell: str) -> str:
    """Put check boxes that stand before their labels behind them."""
    return TICKED_FIRST.sub(r"\2 \1", cell) if cell[:1] in ("☑", "□") else cell


def _lettered(cells: Sequence[str]) -> str:
    if len(cells) < LEAST_CELLS:
        return "\t".join(cells)
    return "\t".join(f"{_letters(number)} {cell}" for number, cell in enumerate(cells) if cell)


def _letters(number: int) -> str:
    """Return a column's name as spreadsheets have it: 0 is A, 26 is AA."""
    name = ""
    while number >= 0:
        name = chr(ord("A") + number % LETTERS) + name
        number = number // LETTERS - 1
    return name
