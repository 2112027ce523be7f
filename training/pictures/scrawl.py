"""Digits written by hand, one to six on a sheet, from scikit-learn's copy of the UCI digits (8 by 8, grown smooth).

In: digits.csv as gather.py leaves it; where it is absent, digits of a script face. The writers of the last rows are
kept for eval.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pictures.asking import Absent, Fact, ask
from pictures.base import Picture, Split, pick
from pictures.fields import absent
from pictures.fonts import GATHERED, pick_font
from pictures.ground import ground
from pictures.lines import sheet_size
from pictures.matching import THERE, Signs, matching
from pictures.page import Mark, Page
from pictures.palette import Palette, pick_palette
from pictures.wear import finish

ROWS: dict[Split, tuple[int, int]] = {"train": (0, 1400), "watch": (1400, 1480), "eval": (1480, 1797)}
LONE = (
    "Which digit is this?",
    "What digit is written here?",
    "Which digit do you see?",
    "What number is this?",
    "Read the digit.",
    "What is the handwritten digit?",
    "Which number is written?",
    "What digit is it?",
    "Name the digit.",
    "Which figure is drawn?",
)
ALL = (
    "Which number is written here?",
    "What number is it?",
    "Read the handwritten number.",
    "What is the number?",
    "Which digits are written, from left to right?",
    "Read the digits from left to right.",
    "What does the handwriting say?",
    "Which number do you see?",
    "Transcribe the number.",
    "What digits are these, in order?",
)
NTH = (
    "What is the {} digit?",
    "Which digit is {}?",
    "Read the {} digit.",
    "What is the {} digit from the left?",
    "Which is the {} digit?",
    "Name the {} digit.",
    "Tell me the {} digit.",
    "What number is the {} digit?",
    "Give me the {} digit.",
)
COUNT = (
    "How many digits are there?",
    "How many digits are written?",
    "Count the digits.",
    "How many digits do you see?",
    "What is the number of digits?",
    "How many digits does the number have?",
    "How many figures are written?",
    "How many digits are in the image?",
    "Count how many digits there are.",
)
IS_DIGIT = (
    "Is there a {}?",
    "Does the number contain a {}?",
    "Is one of the digits a {}?",
    "Can you see a {}?",
    "Is the digit {} written here?",
    "Do you see the digit {}?",
    "Does a {} appear?",
    "Is a {} among the digits?",
    "Is {} one of the digits?",
)
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")


@lru_cache(maxsize=4)
def samples(split: Split) -> dict[int, list[NDArray[np.float32]]]:
    """Return the 8 by 8 greys of each digit, 0 to 1."""
    file = GATHERED / "digits.csv"
    if not file.exists():
        return {}
    rows = np.loadtxt(file, delimiter=",", dtype=np.float32)[slice(*ROWS[split])]
    return {digit: [row[:64].reshape(8, 8) / 16 for row in rows[rows[:, 64] == digit]] for digit in range(10)}


def mask_of(digit: int, side: int, rng: np.random.Generator, split: Split) -> Image.Image:
    """Return the ink of a digit, as high as `side`."""
    known = samples(split)
    if not known:
        ink = pick_font(rng, split, side, "hand").ink(str(digit))
        return Image.fromarray(ink.mask if ink.mask is not None else np.zeros((1, 1), np.uint8))
    grey = np.pad(pick(rng, known[digit]), 1)
    wide = int(side * rng.uniform(0.75, 1.0))
    grown = np.asarray(Image.fromarray(grey).resize((wide, side), Image.Resampling.BICUBIC))
    sharp = np.clip((grown - float(rng.uniform(0.3, 0.48))) * float(rng.uniform(2.5, 5)), 0, 1)
    image = Image.fromarray((sharp * 255).astype(np.uint8))
    return image.crop(image.getbbox()) if image.getbbox() else image


def draw_digits(rng: np.random.Generator, split: Split) -> Picture:
    size = sheet_size(rng, narrow=0.7, wide=1.8, large=0.05)
    palette = pick_palette(rng, split, dark=0.35)
    page = Page(size, palette.paper)
    page.show(ground(rng, size, palette, busy=0.3))
    number = int(rng.choice([1, 2, 3, 4, 5, 6], p=[0.4, 0.12, 0.14, 0.14, 0.1, 0.1]))
    digits = [int(d) for d in rng.integers(0, 10, number)]
    write(page, digits, palette, rng, split)
    image, glyphs = finish(page, rng)
    facts = metadata_of(digits, rng, learnt=split == "train")
    lacking: list[Absent] = absent(["total", "date", "person", "email", "shop"])
    return Picture("digits", (image,), (glyphs,), ask(rng, split, facts, lacking))


def write(page: Page, digits: list[int], palette: Palette, rng: np.random.Generator, split: Split) -> None:
    """Write the digits in a row, each a little higher or lower than the last."""
    slot = page.width * 0.94 / len(digits)
    most = min(slot * 0.95, page.height * 0.8)
    side = max(24.0 * max(page.width, page.height) / 448, most * float(rng.uniform(0.35, 1.0)))
    side = min(side, most)
    room = page.width * 0.94 - side * 1.05 * len(digits)
    x = page.width * 0.03 + float(rng.random()) * max(0.0, room)
    y = float(rng.uniform(0.03, 0.97)) * max(0.0, page.height - side * 1.2)
    for digit in digits:
        mask = mask_of(digit, int(side), rng, split)
        top = min(page.height - mask.height - 1, max(0, int(y + side * rng.uniform(0, 0.12))))
        left = min(page.width - mask.width - 1, int(x + (side - mask.width) / 2))
        page.image.paste(palette.ink, (left, top), mask)
        page.marks.append(Mark(str(digit), left, top, left + mask.width, top + mask.height, by_hand=True))
        x += side * 1.05


def metadata_of(digits: list[int], rng: np.random.Generator, *, learnt: bool) -> list[Fact]:
    text, number = "".join(map(str, digits)), len(digits)
    told = f"There {'is 1 digit' if number == 1 else f'are {number} digits'}."
    facts = [Fact("count", COUNT, str(number), told, ("digits", "count"), number, 0.5)]
    first = LONE if number == 1 else ALL
    facts.append(
        Fact("digit", first, text, f"It is {text}.", ("number", "digit") if number == 1 else ("number",), weight=4)
    )
    if number > 1:
        for i in rng.permutation(number)[:2]:
            facts.append(Fact("digit", [w.format(ORDINALS[int(i)]) for w in NTH], text[int(i)]))
        facts.append(Fact("digit", [w.format("last") for w in NTH], text[-1], weight=0.5))
    others = [digit for digit in range(10) if digit not in digits]
    for _ in range(5 if learnt else 1):
        yes = bool(rng.random() < (THERE if learnt else 0.5))
        asked = pick(rng, digits) if yes else pick(rng, others)
        facts.append(Fact("yes/no", [w.format(asked) for w in IS_DIGIT], "yes" if yes else "no", value=yes))
    if learnt:
        signs = Signs("digit", list(text), number, [str(digit) for digit in others], numeral, "the {}".format)
        facts += matching(rng, signs)
    return facts


def numeral(digit: str) -> str:
    return f"an {digit}" if digit == "8" else f"a {digit}"
