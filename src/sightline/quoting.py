"""The text read on a picture → how it stands in the prompt: in quotes, every line with its number.

In: lines as the transcriber gives them, cells parted by tabs. Out: the quote. Small models do not count lines and tabs;
so lines say which they are, and in lines of three cells or more each cell says its column, as in a spreadsheet. Empty
cells are left out then. Knows no other module, so that training writes its prompts with the same code.
"""

from __future__ import annotations

QUOTES = '"""'
LEAST_CELLS = 3
"""Cells of a line that are given letters; two are told apart by being first and last."""
LETTERS = 26


def quoted(text: str) -> str:
    """Return a picture's text as models are given it; "" stays so."""
    if not text:
        return ""
    lines = "\n".join(f"{number} {_lettered(line)}" for number, line in enumerate(text.split("\n"), 1))
    return f"{QUOTES}\n{lines}\n{QUOTES}"


def whole_lines(text: str, most: int) -> str:
    """Return the lines of `text` that fit into `most` characters; of a first line that does not, what fits."""
    text = text.strip("\n")
    if len(text) <= most:
        return text
    end = text.rfind("\n", 0, most + 1)
    return text[: end if end > 0 else most]


def _lettered(line: str) -> str:
    cells = line.split("\t")
    if len(cells) < LEAST_CELLS:
        return line
    return "\t".join(f"{_letters(number)} {cell}" for number, cell in enumerate(cells) if cell)


def _letters(number: int) -> str:
    """Return a column's name as spreadsheets have it: 0 is A, 26 is AA."""
    name = ""
    while number >= 0:
        name = chr(ord("A") + number % LETTERS) + name
        number = number // LETTERS - 1
    return name
