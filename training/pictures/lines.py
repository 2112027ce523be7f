"""Words, numbers, dates, amounts and codes on plain or busy grounds, one to five a picture.

Out: "lines": the texts stand apart, in one or several faces and sizes, from 12 px at a 448 view up to half of the
picture's height. Asked: what it says, what stands where, which is the number, the date, the amount.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pictures import words
from pictures.asking import Absent, Fact, ask, phrase
from pictures.base import VIEW, Picture, Question, Split, pick
from pictures.fonts import pick_file
from pictures.ground import ground
from pictures.page import Page
from pictures.palette import Palette, pick_palette
from pictures.typeset import Font, font
from pictures.wear import finish

LEAST_PX = 12
SORTS = ("word", "word", "word", "phrase", "number", "number", "date", "amount", "code", "clock", "name", "address")
WHAT = {
    "any": (
        "What does it say?",
        "What does the text say?",
        "Read the text.",
        "What is written here?",
        "What is written in the image?",
        "Transcribe the text.",
        "What text is in the image?",
        "Read this.",
        "What can you read here?",
        "Which text do you see?",
    ),
    "number": (
        "What is the number?",
        "Which number is shown?",
        "What number do you see?",
        "Read the number.",
        "What number is in the image?",
        "Give me the number.",
        "Which number is written there?",
        "What is the number in the picture?",
        "Tell me the number shown.",
        "What number is it?",
    ),
    "date": (
        "What is the date?",
        "Which date is shown?",
        "Which date?",
        "Read the date.",
        "What date is in the image?",
        "What date do you see?",
        "Give me the date.",
        "What date is written?",
        "Tell me the date.",
        "Which date is written here?",
    ),
    "amount": (
        "What is the amount?",
        "Which amount is shown?",
        "How much is it?",
        "Read the amount.",
        "What is the price?",
        "Which price is shown?",
        "How much does it cost?",
        "Give me the amount.",
        "What amount of money is shown?",
        "Tell me the price.",
    ),
    "code": (
        "What is the code?",
        "Which code is shown?",
        "Read the code.",
        "What code is in the image?",
        "Give me the code.",
        "What code do you see?",
        "Tell me the code.",
        "Which code is written there?",
        "What does the code say?",
        "What is the code shown?",
    ),
    "clock": (
        "What time is it?",
        "What time is shown?",
        "What is the time?",
        "Which time is written?",
        "Read the time.",
        "What time do you see?",
        "Give me the time.",
        "Tell me the time shown.",
        "Which time is in the image?",
        "At what time?",
    ),
    "address": (
        "What is the email address?",
        "Which email address is shown?",
        "Read the email address.",
        "What is the e-mail?",
        "Give me the email address.",
        "What email do you see?",
        "Which e-mail address is written?",
        "Tell me the email.",
        "Whose email address is it? Give the address.",
        "What is the mail address?",
    ),
}
PLACES = {
    "first": ("the first line", "the top line", "the first row of text"),
    "last": ("the last line", "the bottom line", "the last row of text"),
    "second": ("the second line", "line 2", "the line after the first"),
    "third": ("the third line", "line 3"),
}
AT = (
    "What does {} say?",
    "Read {}.",
    "What is written in {}?",
    "What is {}?",
    "What text is in {}?",
    "Give me {}.",
    "What is the text of {}?",
    "Transcribe {}.",
    "What do you read in {}?",
    "Which text is in {}?",
)
COUNT = (
    "How many lines of text are there?",
    "How many lines are there?",
    "Count the lines of text.",
    "How many lines do you see?",
    "How many lines of text are in the image?",
    "What is the number of lines?",
    "Count the lines.",
    "How many lines does the text have?",
    "How many rows of text can you see?",
)
IS_THERE = (
    'Is there the text "{}"?',
    'Does it say "{}"?',
    'Is "{}" written here?',
    'Does the image contain the text "{}"?',
    'Can you see "{}"?',
    'Is the text "{}" in the image?',
    'Does "{}" appear here?',
    'Is it written "{}"?',
    'Do you see the text "{}"?',
    'Is "{}" one of the texts?',
)
LETTER = (
    "What is the {} character?",
    "Which character is {}?",
    "What is the {} letter or digit?",
    "Which is the {} character of the text?",
    "Read only the {} character.",
    "Name the {} character.",
    "What character comes {}?",
    "Tell me the {} character.",
    "What does the {} character say?",
)
LENGTH = (
    "How many letters does the word have?",
    "How many letters are there?",
    "Count the letters.",
    "How long is the word, in letters?",
    "How many letters do you see?",
    "What is the number of letters?",
    "How many letters are in the word?",
    "Count the letters of the word.",
    "How many characters does the word have?",
)
WORDS = (
    "How many words are there?",
    "Count the words.",
    "How many words do you see?",
    "What is the number of words?",
    "How many words does it say?",
    "How many words are written?",
    "How many words are in the image?",
    "How many words does the text have?",
    "Tell me how many words there are.",
)
LAST_WORD = (
    "What is the last word?",
    "Which word is the last?",
    "Read the last word.",
    "Which word comes last?",
    "Give me the last word.",
    "What does the last word say?",
    "Name the last word.",
    "What is the final word?",
    "Read only the final word.",
)
# The share of texts that are asked whether there is text at all: as many as pictures of nothing are.
TEXT_ASKED = 0.09
IS_TEXT = (
    "Is there any text in the image?",
    "Is there text in this picture?",
    "Does the image contain text?",
    "Can you see any writing?",
    "Is anything written here?",
    "Are there any words in the picture?",
    "Does the picture show any text?",
    "Do you see any letters or digits?",
    "Is there anything to read?",
)
KEYS: dict[str, tuple[str, ...]] = {
    "number": ("number", "value"),
    "date": ("date", "day"),
    "amount": ("amount", "price"),
    "code": ("code", "id"),
}
KEYS |= {"clock": ("time",), "address": ("email",), "word": ("text", "word"), "name": ("name", "text")}
DIGITS = {"number", "date", "amount", "code", "clock"}
ALONE = {"number": DIGITS, "date": {"date"}, "clock": {"clock"}, "address": {"address"}}
ALONE |= {"amount": {"amount", "number"}, "code": {"code", "number"}}


@dataclass(frozen=True, slots=True)
class Line:
    sort: str
    text: str
    font: Font


def draw_lines(rng: np.random.Generator, split: Split) -> Picture:
    size = sheet_size(rng)
    palette = pick_palette(rng, split, dark=0.35)
    page = Page(size, palette.paper)
    page.show(ground(rng, size, palette))
    lines = sample_lines(rng, split, size)
    write_lines(page, lines, palette, rng)
    image, glyphs = finish(page, rng)
    questions = ask(rng, split, metadata_of(lines, rng, split), absent_of(lines))
    return Picture("lines", (image,), (glyphs,), questions)


def sheet_size(
    rng: np.random.Generator, *, narrow: float = 0.75, wide: float = 1.34, large: float = 0.15
) -> tuple[int, int]:
    """Return (width, height): the longer side is 448 most often; a share `large` of them is up to twice that."""
    chance = rng.random()
    longer = (
        VIEW if chance < 0.4 else int(rng.integers(VIEW, 672)) if chance < 1 - large else int(rng.integers(672, 896))
    )
    aspect = float(np.exp(rng.uniform(np.log(narrow), np.log(wide))))
    return (longer, round(longer / aspect)) if aspect > 1 else (round(longer * aspect), longer)


def least_size(size: tuple[int, int]) -> int:
    """Return the em, in pixels of the picture, that is 12 px at a 448 view."""
    return int(np.ceil(LEAST_PX * max(size) / VIEW))


def say(rng: np.random.Generator, split: Split, sort: str) -> str:
    if sort == "phrase":
        return words.cased(rng, words.phrase(rng, split, int(rng.integers(2, 5))))
    if sort == "word":
        return words.cased(rng, words.word(rng, split))
    if sort == "number":
        return words.number(rng)
    if sort == "date":
        return words.date(rng)
    if sort == "amount":
        return words.amount(rng)
    if sort == "clock":
        return words.clock(rng)
    return {"code": words.code, "name": words.name, "address": words.address}[sort](rng, split)


def sample_lines(rng: np.random.Generator, split: Split, size: tuple[int, int]) -> list[Line]:
    """Choose texts and sizes that fit under one another."""
    number = int(rng.choice([1, 2, 3, 4, 5], p=[0.35, 0.25, 0.2, 0.12, 0.08]))
    width, height = size[0] * 0.9, size[1] * 0.88
    least = least_size(size)
    file = pick_file(rng, split)
    lines: list[Line] = []
    while len(lines) < number:
        sort = pick(rng, SORTS)
        text = say(rng, split, sort)
        if any(text.lower() in line.text.lower() or line.text.lower() in text.lower() for line in lines):
            continue
        if rng.random() < 0.3:
            file = pick_file(rng, split)
        most = min(height / number / 1.5, width / font(file, 100).width(text) * 100)
        if most < least:
            continue
        chosen = int(np.exp(rng.uniform(np.log(least), np.log(most + 0.5))))
        lines.append(Line(sort, text, font(file, max(least, chosen))))
    return lines


def write_lines(page: Page, lines: list[Line], palette: Palette, rng: np.random.Generator) -> None:
    """Write the lines from top to bottom, at random heights, all to one side or each somewhere."""
    align = pick(rng, ("l", "m", "r", "any"))
    heights = [1.25 * (line.font.ascent + line.font.descent) for line in lines]
    spare = max(0.0, page.height * 0.96 - sum(heights))
    gaps = rng.dirichlet(np.ones(len(lines) + 1)) * spare
    top = page.height * 0.02
    for line, gap, high in zip(lines, gaps, heights, strict=False):
        top += gap
        wide = line.font.width(line.text)
        room = page.width * 0.96 - wide
        x = page.width * 0.02 + room * {"l": 0.05, "m": 0.5, "r": 0.95}.get(align, rng.random())
        baseline = top + line.font.ascent * 1.12
        ink = palette.ink if rng.random() < 0.8 else palette.muted
        if rng.random() < 0.12:
            pad = line.font.size * 0.25
            box = (x - pad, baseline - line.font.ascent, x + wide + pad, baseline + line.font.descent)
            page.fill(box, palette.accent, radius=pad if rng.random() < 0.5 else 0)
            ink = palette.on_accent
        page.write(line.text, (x, baseline), line.font, ink)
        top += high


def metadata_of(lines: list[Line], rng: np.random.Generator, split: Split) -> list[Fact]:
    facts = []
    whole = "\n".join(line.text for line in lines)
    skill = {"number": "number", "date": "date", "amount": "amount"}
    if len(lines) <= 3:
        first = skill.get(lines[0].sort, "word") if len(lines) == 1 else "block"
        told = f'It says "{whole}".' if len(lines) == 1 else ""
        facts.append(Fact(first, WHAT["any"], whole, told, ("text", "content"), weight=3))
    for line in lines:
        alone = ALONE.get(line.sort)
        if alone and sum(other.sort in alone for other in lines) == 1:
            keys = KEYS[line.sort]
            told = f"The {keys[0]} is {line.text}."
            facts.append(Fact(skill.get(line.sort, "word"), WHAT[line.sort], line.text, told, keys, weight=2))
    if len(lines) > 1:
        for place, i in {"first": 0, "last": -1, "second": 1, "third": 2}.items():
            if i < len(lines) and (i < 1 or len(lines) > i + 1):
                where = pick(rng, PLACES[place])
                keys = (f"{place}_line", where.removeprefix("the ").replace(" ", "_"))
                wordings = [each.format(where) for each in AT]
                facts.append(Fact("word", wordings, lines[i].text, keys=keys))
    number = len(lines)
    told = f"There {'is 1 line' if number == 1 else f'are {number} lines'} of text."
    facts.append(Fact("count", COUNT, str(number), told, ("lines", "line_count"), number, 0.5))
    facts.append(is_there(rng, split, lines))
    if rng.random() < TEXT_ASKED:
        facts.append(Fact("yes/no", IS_TEXT, "yes"))
    if number == 1:
        facts += spelled(lines[0].text)
    return facts


def is_there(rng: np.random.Generator, split: Split, lines: list[Line]) -> Fact:
    """Ask for a text that is there, or for one that is not: another, or one letter off."""
    chosen = pick(rng, lines)
    text, yes = chosen.text, bool(rng.random() < 0.5)
    if not yes:
        text = say(rng, split, chosen.sort)
        while any(text.lower() in line.text.lower() for line in lines):
            text = say(rng, split, pick(rng, SORTS))
    told = "Yes, it does." if yes else "No, it does not."
    wordings = [each.format(text) for each in IS_THERE]
    return Fact("yes/no", wordings, "yes" if yes else "no", told, (), yes)


def read_out(rng: np.random.Generator, text: str) -> Question:
    """Ask for all that a picture of any kind says."""
    return phrase(rng, "train", Fact("block", WHAT["any"], text))


def spelled(text: str) -> list[Fact]:
    """Ask for the ends of a lone text, for its length where that is short, and for the number of its words."""
    facts = [Fact("word", [w.format("first") for w in LETTER], text[0], f"It is {text[0]}.", weight=0.5)]
    facts.append(Fact("word", [w.format("last") for w in LETTER], text[-1], f"It is {text[-1]}.", weight=0.5))
    if text.isalpha() and len(text) <= 9:
        facts.append(Fact("count", LENGTH, str(len(text)), keys=("letters",), value=len(text), weight=0.4))
    if " " in text and all(part.isalpha() for part in text.split()):
        number = len(text.split())
        facts.append(Fact("count", WORDS, str(number), keys=("words",), value=number, weight=0.6))
        facts.append(Fact("word", LAST_WORD, text.split()[-1], weight=0.6))
    return facts


def absent_of(lines: list[Line]) -> list[Absent]:
    sorts = {line.sort for line in lines}
    return [Absent(WHAT[sort], KEYS[sort]) for sort, alone in ALONE.items() if not sorts & alone]
