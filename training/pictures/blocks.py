"""Short texts of several lines: paragraphs, lists, quotations, pages of notes; read whole, by line or by word."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pictures import words
from pictures.asking import Absent, Fact
from pictures.base import Picture, Split, pick, split_of
from pictures.fields import absent
from pictures.layout import text_row
from pictures.lines import AT, COUNT, IS_TEXT, IS_THERE, PLACES, TEXT_ASKED, WHAT
from pictures.sheets import Shape, Sheet, lay

PAGES = 0.3
"""Share of the texts whose lines are as long as a page's."""
ECHOES = 0.5
"""Share of the texts learnt from whose lines say the same in their middle, behind which a model copies on wrongly."""
LINE_WEIGHT, LEARNT_LINE_WEIGHT = 0.7, 1.6
"""How often a text is asked for one of its lines."""
SITE_BARS = 0.25
"""Share of the headed texts learnt from above which a page's bar stands, its icons read as signs."""
BAR_SIGNS = ("=", "Q", "O", "x", "三", "<", ">", "A", "...", "+")
STYLES = ("paragraph", "list", "numbered", "verse", "headed", "quote")
TITLE = (
    "What is the heading?",
    "What is the title?",
    "Read the heading.",
    "What does the heading say?",
    "What is the text called?",
    "Which title does the text have?",
    "What is written at the top as the title?",
    "Give me the title.",
    "What is the headline?",
)
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
WORD = (
    "What is the {o} word of the {l} line?",
    "Which word is the {o} in the {l} line?",
    "Read the {o} word in the {l} line.",
    "In the {l} line, what is the {o} word?",
    "What is the {o} word in line {n}?",
    "Give me the {o} word of line {n}.",
    "The {o} word of the {l} line?",
    "Name the {o} word on the {l} line.",
    "Which is word {o} on line {n}?",
)
ENTRY = (
    "What is the {o} item of the list?",
    "What is the {o} entry?",
    "Read item number {n}.",
    "What does item {n} say?",
    "Which is the {o} item?",
    "What is listed {o}?",
    "What is number {n} on the list?",
    "Give me the {o} item.",
    "Name the {o} entry of the list.",
)
ENTRIES = (
    "How many items are on the list?",
    "How many entries are there?",
    "Count the items.",
    "How many items are listed?",
    "How many points does the list have?",
    "What is the number of items?",
    "How many things are on the list?",
    "How long is the list?",
    "Count the entries of the list.",
)
AFTER = (
    'Which word comes after "{}"?',
    'What is the word after "{}"?',
    'What follows "{}"?',
    'Which word follows "{}"?',
    'What comes right after "{}"?',
    'Read the word that follows "{}".',
    'What word stands after "{}"?',
    'Which is the next word after "{}"?',
    'Name the word following "{}".',
)


@dataclass(frozen=True, slots=True)
class Look:
    style: str
    align: str
    bullet: str

    @property
    def name(self) -> str:
        return f"block-{self.style}-{self.align}-{self.bullet}"


def pick_look(rng: np.random.Generator, split: Split) -> Look:
    while True:
        look = Look(pick(rng, STYLES), pick(rng, ("l", "l", "m", "r")), pick(rng, ("-", "*", "–", "o", "+")))
        if split_of(look.name) == split:
            return look


def draw_block(rng: np.random.Generator, split: Split, *, large: bool = False) -> Picture:
    look = pick_look(rng, split)
    number = int(rng.integers(10, 19)) if large else int(rng.integers(2, 9))
    wide = int(rng.integers(24, 48)) if large else int(rng.integers(12, 34))
    if rng.random() < PAGES:
        wide = int(rng.integers(40, 90))

    def build(attempt: int) -> Sheet:
        sheet = Sheet(what="a list" if look.style in ("list", "numbered") else "a text")
        lines = texts(look, max(2, number - attempt), max(10, wide - 2 * attempt), rng, split)
        if look.style == "headed" or rng.random() < 0.25:
            title = words.phrase(rng, split, int(rng.integers(1, 4))).capitalize()
            if split == "train" and rng.random() < SITE_BARS:
                sheet.rows.append(text_row(site_bar(rng, split), scale=0.9))
            sheet.rows.append(text_row(title, look.align, bold=True, scale=float(rng.uniform(1.15, 1.7))))
            sheet.rows[-1].pad = 0.15
            sheet.facts.append(Fact("block", TITLE, title, f"The title is {title}.", ("title", "heading")))
        shown = decorated(lines, look)
        align = "l" if look.style in ("list", "numbered") else look.align
        sheet.rows += [text_row(line, align) for line in shown]
        if look.style in ("list", "numbered"):
            for row in sheet.rows[-len(shown) :]:
                row.pad = 0.1
        sheet.facts += metadata_of(lines, shown, look, titled=len(shown) < len(sheet.rows), rng=rng, split=split)
        sheet.absent += lacking(lines)
        return sheet

    styles = ("sans", "serif", "serif", "mono", "hand")
    return lay(build, "block", rng, split, Shape(0.7, 1.9, styles, dark=0.25, large=large))


def texts(look: Look, number: int, wide: int, rng: np.random.Generator, split: Split) -> list[str]:
    """Return the lines: entries of a list, lines of a verse, or sentences broken at a width."""
    if look.style in ("list", "numbered"):
        found: list[str] = []
        while len(found) < min(number, 8):
            text = (
                words.product(rng, split) if rng.random() < 0.5 else words.phrase(rng, split, int(rng.integers(1, 5)))
            )
            if text.lower() not in {other.lower() for other in found}:
                found.append(text)
        return found
    if split == "train" and rng.random() < ECHOES:
        return echoing(rng, split, number)
    if look.style == "verse":
        return [words.phrase(rng, split, int(rng.integers(2, 7))).capitalize() for _ in range(number)]
    running: list[str] = []
    lines: list[str] = []
    while len(lines) < number:
        if not running:
            running = words.sentence(rng, split, int(rng.integers(4, 11))).split()
        line = running.pop(0)
        while len(line) < wide:
            if not running:
                running = words.sentence(rng, split, int(rng.integers(4, 11))).split()
            if len(line) + 1 + len(running[0]) > wide:
                break
            line += " " + running.pop(0)
        lines.append(line)
    if look.style == "quote":
        lines[0], lines[-1] = "“" + lines[0], lines[-1].rstrip(".!?") + "”"
    return lines


def echoing(rng: np.random.Generator, split: Split, number: int) -> list[str]:
    """Return up to twice so many lines that differ in how they begin and end, with one of two middles of a few words.

    Some begin with what another ends with.
    """
    middles = [words.phrase(rng, split, int(rng.integers(1, 5))) for _ in range(2)]
    made = []
    end = words.real(rng, split)
    for _ in range(int(rng.integers(number, 2 * number + 1))):
        begin = end if rng.random() < 0.2 else words.real(rng, split)
        middle, end = middles[int(rng.random() < 0.25)], words.real(rng, split)
        made.append(f"{begin.capitalize()} {middle} {end}" + pick(rng, (".", ".", "")))
    return made


def site_bar(rng: np.random.Generator, split: Split) -> str:
    """Return what the transcriber makes of a page's bar: signs of icons, and mostly the site's name."""
    signs = [pick(rng, BAR_SIGNS) for _ in range(int(rng.integers(1, 4)))]
    name = words.phrase(rng, split, int(rng.integers(1, 4))).title() if rng.random() < 0.7 else ""
    return " ".join([*signs[:-1], name, signs[-1]] if rng.random() < 0.3 else [*signs, name]).strip()


def decorated(lines: list[str], look: Look) -> list[str]:
    if look.style == "list":
        return [f"{look.bullet} {line}" for line in lines]
    if look.style == "numbered":
        return [f"{i}. {line}" for i, line in enumerate(lines, 1)]
    return lines


def metadata_of(
    lines: list[str], shown: list[str], look: Look, *, titled: bool, rng: np.random.Generator, split: Split
) -> list[Fact]:
    facts: list[Fact] = []
    whole = "\n".join(shown)
    weight = LEARNT_LINE_WEIGHT if split == "train" else LINE_WEIGHT
    if not titled:
        facts.append(Fact("block", WHAT["any"], whole, "", ("text",), weight=3))
        for place, i in {"first": 0, "last": -1, "second": 1, "third": 2}.items():
            if i < len(shown):
                where = pick(rng, PLACES[place])
                facts.append(Fact("block", [w.format(where) for w in AT], shown[i], weight=weight))
        facts.append(Fact("count", COUNT, str(len(shown)), keys=("lines",), value=len(shown), weight=0.4))
        facts.append(nth_word(lines, look, rng))
    if look.style in ("list", "numbered"):
        i = int(rng.integers(len(lines)))
        facts.append(Fact("block", [w.format(o=ORDINALS[i], n=i + 1) for w in ENTRY], lines[i], weight=1.5))
        facts.append(Fact("count", ENTRIES, str(len(lines)), keys=("items",), value=len(lines)))
        facts.append(Fact("json", LIST_AS_JSON, "", value={"items": lines}, weight=0.8))
    facts += after(lines, rng)
    facts.append(is_word(lines, rng, split))
    if rng.random() < TEXT_ASKED:
        facts.append(Fact("yes/no", IS_TEXT, "yes", weight=2))
    return facts


LIST_AS_JSON = (
    "Return the list as JSON.",
    "Extract the items as JSON.",
    "Turn the list into JSON.",
    "Give me the items as a JSON array.",
    "Read the list into JSON.",
    "List the items in JSON.",
    "Convert the list to JSON.",
    "Extract the list.",
    "Output all entries as JSON.",
)


def plain(word: str) -> str:
    return word.strip(".,!?“”")


def nth_word(lines: list[str], look: Look, rng: np.random.Generator) -> Fact:
    line = int(rng.integers(min(len(lines), 8)))
    parts = lines[line].split()
    i = int(rng.integers(min(len(parts), 5)))
    order = "last" if i == len(parts) - 1 and rng.random() < 0.5 else ORDINALS[i]
    wordings = [w.format(o=order, l=ORDINALS[line], n=line + 1) for w in WORD]
    weight = 1.0 if look.style not in ("list", "numbered") else 0.05
    return Fact("block", wordings, plain(parts[i]), weight=weight)


def after(lines: list[str], rng: np.random.Generator) -> list[Fact]:
    """Ask for the word after one that stands there once and does not end its line."""
    every = [plain(word).lower() for line in lines for word in line.split()]
    pairs = [(a, b) for line in lines for a, b in zip(line.split(), line.split()[1:], strict=False)]
    clear = [(a, plain(b)) for a, b in pairs if a.isalpha() and len(a) > 3 and every.count(a.lower()) == 1]
    if not clear:
        return []
    word, following = pick(rng, clear)
    return [Fact("block", [w.format(word) for w in AFTER], following)]


def is_word(lines: list[str], rng: np.random.Generator, split: Split) -> Fact:
    every = [plain(word) for line in lines for word in line.split()]
    long = [word for word in every if len(word) > 3] or every
    whole, yes = " ".join(lines).lower(), bool(rng.random() < 0.5)
    word = pick(rng, long)
    while not yes and word.lower() in whole:
        word = words.real(rng, split)
    return Fact("yes/no", [w.format(word) for w in IS_THERE], "yes" if yes else "no")


def lacking(lines: list[str]) -> list[Absent]:
    if any(character.isdigit() for line in lines for character in line):
        return []
    return [Absent(WHAT[sort]) for sort in ("date", "amount", "address", "clock")] + absent(["total", "phone"])
