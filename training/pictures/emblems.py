"""Pictograms: one to nine emoji or icons on a ground, asked for by name, number and place."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from pictures.asking import Absent, Fact, ask
from pictures.base import Glyph, Picture, Split, pick
from pictures.fields import absent
from pictures.fonts import GATHERED, SYSTEM
from pictures.ground import ground
from pictures.lines import sheet_size
from pictures.matching import THERE, Signs, matching
from pictures.page import Page
from pictures.palette import pick_palette
from pictures.symbols import DEJAVU, ICON_SETS
from pictures.typeset import font
from pictures.wear import wear

NAME = (
    "What is this?",
    "What does the picture show?",
    "What symbol is this?",
    "Which symbol do you see?",
    "What is shown?",
    "Name the symbol.",
    "What does the icon show?",
    "Which pictogram is it?",
    "What is in the image?",
    "What thing is drawn here?",
    "Which icon is this?",
)
ALL = (
    "Which symbols are there?",
    "List the symbols from left to right.",
    "What are the symbols?",
    "Name everything you see, from left to right.",
    "What do you see?",
    "What things are shown?",
    "Which icons are shown?",
    "Name all the symbols.",
    "What is in the picture, from left to right?",
)
AT = (
    "What is {}?",
    "Which symbol is {}?",
    "What do you see {}?",
    "Name the symbol {}.",
    "What is the symbol {}?",
    "Which thing is {}?",
    "What is shown {}?",
    "Which icon is {}?",
    "Tell me what is {}.",
)
COUNT = (
    "How many symbols are there?",
    "How many symbols do you see?",
    "Count the symbols.",
    "How many things are shown?",
    "How many icons are there?",
    "What is the number of symbols?",
    "How many pictograms are in the image?",
    "How many objects are there?",
    "Count all the objects.",
)
HOW_MANY = (
    'How many symbols show "{}"?',
    'How many times do you see "{}"?',
    'How often is "{}" shown?',
    'Count the symbols that show "{}".',
    'How many of the symbols are "{}"?',
    'How often does "{}" appear?',
    'How many times is there "{}"?',
    'What is the number of "{}" symbols?',
    'Count how often "{}" is drawn.',
)
IS_THERE = (
    "Is there {} in the picture?",
    "Is {} shown?",
    "Do you see {}?",
    "Is there {}?",
    "Does the image show {}?",
    "Can you see {}?",
    "Is {} among the symbols?",
    "Does {} appear?",
    "Is one of the symbols {}?",
)
ALIKE = (
    {"heart", "broken heart"},
    {"football", "soccer ball", "basketball", "tennis racket"},
    {"car", "taxi", "police car", "truck"},
    {"coffee", "beer", "wine glass"},
    {"bell", "alarm clock", "watch"},
    {"ship", "sailboat"},
    {"bar chart", "line chart", "pie chart"},
    {"globe", "moon", "sun"},
    {"fire", "lightning"},
    {"person", "people"},
    {"arrow up", "download", "upload", "arrow down"},
    {"envelope", "newspaper", "book"},
    {"dolphin", "whale", "shark", "fish"},
    {"tree", "leaf"},
    {"cross mark", "plus sign"},
    {"house", "church", "castle"},
    {"bus", "train"},
)
NUMBERS = [0.4, 0.12, 0.12, 0.1, 0.08, 0.06, 0.05, 0.04, 0.03]
LEARNT_NUMBERS = [0.24, 0.1, 0.12, 0.12, 0.07, 0.14, 0.06, 0.06, 0.09]
"""Shares of the pictures with one to nine pictograms: learnt from are more with many, for each has a name to learn."""
SIGNS = {True: "icons/dejavu.ttf", False: "DejaVuSans.ttf"}
PLURAL_OR_MASS: tuple[str, ...] = (
    "scissors",
    "glasses",
    "sunglasses",
    "headphones",
    "jeans",
    "grapes",
    "cherries",
    "french fries",
)
PLURAL_OR_MASS += (
    "bread",
    "cheese",
    "coffee",
    "beer",
    "corn",
    "broccoli",
    "recycling",
    "fire",
    "lightning",
    "chocolate",
)
PLURAL_OR_MASS += ("wifi", "people", "clapping hands", "thumbs up", "thumbs down", "dice", "fork and knife")


@dataclass(frozen=True, slots=True)
class Icon:
    name: str
    source: str
    character: str = ""


@lru_cache(maxsize=4)
def icons(split: Split) -> dict[str, list[Icon]]:
    """Return what can be drawn by name: icons of the split's faces, and emoji, which are everyone's."""
    allowed = {each.name for each in ICON_SETS if each.split == split or split == "watch"}
    found: dict[str, list[Icon]] = {}
    listing = GATHERED / "icons.csv"
    if listing.exists():
        for line in listing.read_text(encoding="utf-8").split("\n")[:-1]:
            source, name, code = line.split(",")
            if source in allowed:
                file = str(GATHERED / "icons" / f"{source}.ttf")
                found.setdefault(name, []).append(Icon(name, file, chr(int(code, 16))))
    signs = (GATHERED if listing.exists() else SYSTEM) / SIGNS[listing.exists()]
    if signs.exists() and (split != "eval" or not listing.exists()):
        for name, character in DEJAVU.items():
            found.setdefault(name, []).append(Icon(name, str(signs), character))
    for drawn in sorted((GATHERED / "emoji").glob("*.png")):
        found.setdefault(drawn.stem, []).append(Icon(drawn.stem, "emoji"))
    return found


@lru_cache(maxsize=400)
def emoji(name: str) -> Image.Image:
    return Image.open(GATHERED / "emoji" / f"{name}.png").convert("RGBA")


def place(page: Page, icon: Icon, at: tuple[float, float], side: float, ink: tuple[int, int, int]) -> Glyph:
    """Draw an icon around a point, no wider and no higher than `side`; return where it is."""
    if icon.source == "emoji":
        drawn = emoji(icon.name)
        scale = side / max(drawn.size)
        drawn = drawn.resize((max(1, round(drawn.width * scale)), max(1, round(drawn.height * scale))))
        page.image.paste(drawn, (round(at[0] - drawn.width / 2), round(at[1] - drawn.height / 2)), drawn)
        return glyph_of(page, icon, at, drawn.size)
    face = font(Path(icon.source), side)
    mask = face.ink(icon.character).mask
    if mask is None:
        raise ValueError(f"{icon.source} has no ink for {icon.name}")
    drawn = Image.fromarray(mask)
    if max(drawn.size) > side:
        scale = side / max(drawn.size)
        drawn = drawn.resize((round(drawn.width * scale), round(drawn.height * scale)))
    page.image.paste(ink, (round(at[0] - drawn.width / 2), round(at[1] - drawn.height / 2)), drawn)
    return glyph_of(page, icon, at, drawn.size)


def glyph_of(page: Page, icon: Icon, at: tuple[float, float], size: tuple[int, int]) -> Glyph:
    width, height = page.width, page.height
    return Glyph(icon.name, at[0] / width, at[1] / height, size[0] / width, size[1] / height)


def draw_emblems(rng: np.random.Generator, split: Split) -> Picture:
    known = icons(split)
    size = sheet_size(rng, narrow=0.8, wide=1.4, large=0.05)
    palette = pick_palette(rng, split, dark=0.3)
    page = Page(size, palette.paper)
    page.show(ground(rng, size, palette, busy=0.3))
    number = int(rng.choice(np.arange(1, 10), p=LEARNT_NUMBERS if split == "train" else NUMBERS))
    names = sample_names(rng, tuple(known), number)
    columns = 1 if number == 1 else 2 if number <= 4 and rng.random() < 0.4 else 3 if number > 3 else number
    rows = -(-number // columns)
    wide, high = size[0] / columns, size[1] / rows
    chosen = [pick(rng, known[name]) for name in names]
    side = min(wide, high) * float(rng.uniform(0.35, 0.85) if number == 1 else rng.uniform(0.5, 0.85))
    placed = []
    for i, icon in enumerate(chosen):
        slack_x, slack_y = (wide - side) * 0.35, (high - side) * 0.35
        x = (i % columns + 0.5) * wide + float(rng.uniform(-1, 1)) * slack_x
        y = (i // columns + 0.5) * high + float(rng.uniform(-1, 1)) * slack_y
        placed.append(place(page, icon, (x, y), side, palette.ink if rng.random() < 0.5 else palette.tint))
    facts = metadata_of(names, columns, rng, tuple(known), learnt=split == "train")
    lacking: list[Absent] = absent(["total", "date", "email", "invoice", "phone"])
    return Picture("emblems", (wear(page.image, rng, 0.8),), (tuple(placed),), ask(rng, split, facts, lacking))


def sample_names(rng: np.random.Generator, known: tuple[str, ...], number: int) -> list[str]:
    """Choose names: all different, or a few of them several times; never two that look alike."""
    kinds = number if rng.random() < 0.6 else max(1, int(rng.integers(1, number + 1)))
    names: list[str] = []
    while len(names) < kinds:
        name = pick(rng, known)
        if name not in names and not any(name in group and group & set(names) for group in ALIKE):
            names.append(name)
    extra = [pick(rng, names) for _ in range(number - kinds)]
    every = names + extra
    return [every[int(i)] for i in rng.permutation(number)]


def article(name: str) -> str:
    if name in PLURAL_OR_MASS:
        return name
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


def metadata_of(
    names: list[str], columns: int, rng: np.random.Generator, known: tuple[str, ...], *, learnt: bool
) -> list[Fact]:
    """Return what a picture of pictograms says. Where it is learnt from, grids are listed as well, row by row."""
    number, counted = len(names), Counter(names)
    facts = [Fact("count", COUNT, str(number), f"I see {number}.", ("count",), number, 0.7)]
    if number == 1:
        facts.append(Fact("pictogram", NAME, names[0], f"It is {article(names[0])}.", ("name", "symbol"), weight=5))
    elif columns == number and number <= 4:
        facts.append(
            Fact("pictogram", ALL, ", ".join(names), keys=("symbols",), value=names, weight=4.0 if learnt else 1.5)
        )
        for words_, i in ((("on the left", "furthest left"), 0), (("on the right", "furthest right"), -1)):
            facts.append(Fact("pictogram", [w.format(pick(rng, words_)) for w in AT], names[i], weight=1.2))
        if number == 3:
            facts.append(Fact("pictogram", [w.format("in the middle") for w in AT], names[1]))
    elif columns in (2, 3) and number % columns == 0 and number > columns:
        corners = {"top left": 0, "top right": columns - 1, "bottom left": number - columns, "bottom right": number - 1}
        for corner, i in corners.items():
            facts.append(Fact("pictogram", [w.format(f"at the {corner}") for w in AT], names[i]))
    if learnt and columns not in (1, number):
        facts.append(Fact("pictogram", ALL, ", ".join(names), keys=("symbols",), value=names, weight=5))
    name = pick(rng, names)
    if number > 2:
        asked = [w.format(name) for w in HOW_MANY]
        facts.append(
            Fact("count", asked, str(counted[name]), keys=(name.lower().replace(" ", "_"),), value=counted[name])
        )
    others = [n for n in known if n not in counted and not any(n in g and g & set(names) for g in ALIKE)]
    for _ in range(6 if learnt else 2):
        yes = bool(rng.random() < (THERE if learnt else 0.5))
        name = pick(rng, names) if yes else pick(rng, others)
        facts.append(Fact("yes/no", [w.format(article(name)) for w in IS_THERE], "yes" if yes else "no", value=yes))
    if learnt:
        facts += matching(rng, Signs("pictogram", names, columns, others, article, "the {}".format))
    return facts
