"""Signs in front of a view: price tags, number plates, street names, opening hours, notices; as in a photograph.

In: the grounds of nothing.py as what lies behind. Out: one board with a few lines, turned a little more than a page
is. Asked: what it says, and what such a sign is read for.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageFilter

from pictures import fields, words
from pictures.asking import Absent, Fact, ask
from pictures.base import Picture, Split, pick, split_of
from pictures.layout import Cell, Row, Type, fit, pick_type, set_rows, text_row
from pictures.lines import WHAT, least_size, sheet_size
from pictures.nothing import EVAL, TRAIN, WATCH, coloured
from pictures.page import Page
from pictures.palette import pick_palette
from pictures.wear import finish

SAYS = (
    "What does the sign say?",
    "Read the sign.",
    "What is written on the sign?",
    "What does it say?",
    "What is the text on the sign?",
    "Which text is on the board?",
    "Transcribe the sign.",
    "What can you read on the sign?",
    "Give me the text of the sign.",
    "What text is in the photo?",
)
OPENS = (
    "When does it open?",
    "At what time does it open?",
    "What is the opening time?",
    "From when is it open?",
    "Since what time is it open?",
    "Which is the opening time?",
    "What time does the shop open?",
    "Tell me when it opens.",
    "Read the opening time.",
)
CLOSES = (
    "When does it close?",
    "At what time does it close?",
    "What is the closing time?",
    "Until when is it open?",
    "What time does it shut?",
    "Which is the closing time?",
    "What time does the shop close?",
    "Tell me when it closes.",
    "Read the closing time.",
)
PLATE = (
    "What is the number plate?",
    "Which number plate is it?",
    "Read the licence plate.",
    "What does the plate say?",
    "What is on the number plate?",
    "What is the license plate number?",
    "Give me the plate number.",
    "Which registration is shown?",
    "What is the registration of the car?",
)
STREET = (
    "Which street is it?",
    "What is the name of the street?",
    "Read the street name.",
    "What street is this?",
    "Which street does the sign name?",
    "What is the street called?",
    "Name the street.",
    "On which street was this taken?",
    "What does the street sign say?",
)
DISTANCE = (
    "How far is it to {}?",
    "What is the distance to {}?",
    "How many kilometres is it to {}?",
    "How far away is {}?",
    "What distance is given for {}?",
    "Read the distance to {}.",
    "How many km to {}?",
    "How long is the way to {}?",
    "What does the sign say about the way to {}?",
)
STYLES = ("tag", "plate", "street", "hours", "notice", "notice", "road")
NAMES = {"tag": "a price tag", "plate": "a number plate", "street": "a street sign", "road": "a road sign"}
NAMES |= {"hours": "a sign with opening hours", "notice": "a sign"}
NOTICES = ("No", "Please", "Keep", "Open", "For", "Danger:", "Exit to", "Beware of the", "Closed for", "Welcome to")


@dataclass(slots=True)
class Sign:
    rows: list[Row] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    absent: list[Absent] = field(default_factory=list)


def draw_sign(rng: np.random.Generator, split: Split) -> Picture:
    while True:
        style, frame = pick(rng, STYLES), pick(rng, ("none", "line", "double", "shade"))
        if split_of(f"sign-{style}-{frame}") == split or (split == "watch" and rng.random() < 0.1):
            break
    size = sheet_size(rng, narrow=0.75, wide=1.5, large=0.1)
    makers = {"train": TRAIN, "watch": WATCH, "eval": EVAL}[split]
    view = coloured(pick(rng, makers)(rng), rng).resize(size, Image.Resampling.BICUBIC)
    if rng.random() < 0.6:
        view = view.filter(ImageFilter.BoxBlur(float(rng.uniform(1, 4))))
    page, palette = Page(size, (0, 0, 0)), pick_palette(rng, split, dark=0.4)
    page.show(view)
    sign, type_ = Sign(), pick_type(rng, split, "sans", "sans", "sans", "serif", "display", "hand")
    MAKERS[style](sign, rng, split)
    box, em = board(sign.rows, type_, size, rng)
    if em < least_size(size):
        return draw_sign(rng, split)
    edges = (box[0] - 0.7 * em, box[1] - 0.5 * em, box[2] + 0.7 * em, box[3] + 0.5 * em)
    if frame == "shade":
        page.fill((edges[0] + 0.2 * em, edges[1] + 0.25 * em, edges[2] + 0.2 * em, edges[3] + 0.25 * em), (20, 20, 20))
    corner = float(rng.choice([0.0, 0.0, 0.3, 0.6])) * em
    page.fill(edges, palette.paper, radius=corner)
    if frame in ("line", "double"):
        page.frame(edges, palette.ink, line=max(1, round(em / 12)), radius=corner)
    if frame == "double":
        inner = 0.22 * em
        within = (edges[0] + inner, edges[1] + inner, edges[2] - inner, edges[3] - inner)
        page.frame(within, palette.ink, line=max(1, round(em / 18)))
    set_rows(page, sign.rows, type_, em, palette, box)
    image, glyphs = finish(page, rng, tilt=1.3)
    return Picture("sign", (image,), (glyphs,), ask(rng, split, sign.facts, sign.absent, what=NAMES[style]))


def board(
    rows: list[Row], type_: Type, size: tuple[int, int], rng: np.random.Generator
) -> tuple[tuple[float, float, float, float], float]:
    """Return the box to write in, somewhere on the view, and the em."""
    high_em, wide_em = sum(row.height for row in rows), 1.02 / fit(rows, type_, 1.0, 1e9)
    most = min(size[0] * 0.94 / (wide_em + 1.4), size[1] * 0.94 / (high_em + 1.0))
    em = float(np.exp(rng.uniform(np.log(min(most, least_size(size) + 1)), np.log(most))))
    wide, high = wide_em * em, high_em * em
    left = 0.9 * em + float(rng.random()) * max(0.0, size[0] - wide - 1.8 * em)
    top = 0.7 * em + float(rng.random()) * max(0.0, size[1] - high - 1.5 * em)
    return (left, top, left + wide, top + high), em


def say_all(sign: Sign, lines: list[str]) -> None:
    sign.facts.append(Fact("block" if len(lines) > 1 else "word", SAYS, "\n".join(lines), "", ("text",), weight=2))


def lack(sign: Sign, *names: str) -> None:
    sign.absent += fields.absent(names)


def tag(sign: Sign, rng: np.random.Generator, split: Split) -> None:
    """A thing for sale and its price."""
    thing, price = words.product(rng, split), words.amount(rng)
    sign.rows.append(text_row(thing, "m"))
    sign.rows.append(text_row(price, "m", bold=True, scale=float(rng.uniform(1.2, 2.5))))
    sign.facts.append(fields.fact("price", price))
    sign.facts.append(fields.fact("product", thing))
    say_all(sign, [thing, price])
    lack(sign, "weight", "date", "phone", "time")


def plate(sign: Sign, rng: np.random.Generator, split: Split) -> None:
    text = words.code(rng, split).lstrip("#")
    sign.rows.append(text_row(text, "m", bold=True))
    sign.facts.append(Fact("word", PLATE, text, f"The plate is {text}.", ("plate", "registration"), weight=2))
    say_all(sign, [text])
    lack(sign, "price", "date", "address", "person")


def street(sign: Sign, rng: np.random.Generator, split: Split) -> None:
    text = words.street(rng, split).split(" ", 1)[1]
    sign.rows.append(text_row(text, "m", bold=bool(rng.random() < 0.5)))
    sign.facts.append(Fact("word", STREET, text, f"It is {text}.", ("street", "street_name"), weight=2))
    lines = [text]
    if rng.random() < 0.4:
        town = words.town(rng, split)
        sign.rows.append(text_row(town, "m", tone="muted"))
        sign.facts.append(fields.fact("city", town))
        lines.append(town)
    say_all(sign, lines)
    lack(sign, "price", "date", "phone", "person")


def hours(sign: Sign, rng: np.random.Generator, split: Split) -> None:
    """Days and the times between which something is open."""
    opens, closes = int(rng.integers(5, 12)), int(rng.integers(13, 24))
    half = pick(rng, ("00", "00", "30", "15"))
    first, last = f"{opens:02d}:{half}" if rng.random() < 0.5 else f"{opens}:{half}", f"{closes}:{half}"
    days = pick(rng, ("Mon – Fri", "Monday – Saturday", "Daily", "Every day", "Mo - Sa", "Weekdays", "Tue–Sun"))
    name = words.company(rng, split)
    between = pick(rng, (" – ", " - ", " to "))
    sign.rows += [text_row(name, "m", bold=True, scale=1.2), text_row(days, "m")]
    sign.rows.append(text_row(f"{first}{between}{last}", "m", bold=bool(rng.random() < 0.5)))
    sign.facts.append(Fact("field", OPENS, first, f"It opens at {first}.", ("opens", "opening_time"), weight=1.5))
    sign.facts.append(Fact("field", CLOSES, last, f"It closes at {last}.", ("closes", "closing_time"), weight=1.5))
    sign.facts.append(fields.fact("shop", name))
    say_all(sign, [name, days, f"{first}{between}{last}"])
    lack(sign, "price", "phone", "address", "email")


def notice(sign: Sign, rng: np.random.Generator, split: Split) -> None:
    """A few words in capitals or not, on one line or three."""
    upper = rng.random() < 0.5
    lines = [words.phrase(rng, split, int(rng.integers(1, 4))) for _ in range(int(rng.integers(1, 4)))]
    lines[0] = f"{pick(rng, NOTICES)} {lines[0]}" if rng.random() < 0.6 else lines[0].capitalize()
    lines = [line.upper() if upper else line for line in lines]
    sign.rows += [text_row(line, "m", bold=upper) for line in lines]
    say_all(sign, lines)
    first, last = lines[0].split()[0].rstrip(":"), lines[-1].split()[-1]
    sign.facts.append(Fact("word", FIRST_WORD, first, f"It is {first}."))
    sign.facts.append(Fact("word", [w.replace("first", "last") for w in FIRST_WORD], last, f"It is {last}."))
    sign.absent += [Absent(WHAT[sort]) for sort in ("date", "amount", "clock", "address")]


FIRST_WORD = (
    "What is the first word?",
    "What is the first word on the sign?",
    "Which word comes first?",
    "Read the first word.",
    "Which is the first word?",
    "Name the first word.",
    "Give me the first word.",
    "What does the first word say?",
    "Tell me the first word of the sign.",
)


def road(sign: Sign, rng: np.random.Generator, split: Split) -> None:
    """Towns and how far they are."""
    towns: list[str] = []
    number = int(rng.integers(1, 4))
    while len(towns) < number:
        name = words.town(rng, split)
        if not any(name in other or other in name for other in towns):
            towns.append(name)
    far = sorted(int(v) for v in rng.choice(np.arange(1, 400), len(towns), replace=False))
    unit = pick(rng, ("", " km"))
    for name, km in zip(towns, far, strict=True):
        text = f"{km}{unit}"
        sign.rows.append(Row([Cell(name), Cell(text, 1.0, "r")], pad=0.05))
        sign.facts.append(Fact("field", [w.format(name) for w in DISTANCE], text, f"It is {text} to {name}."))
    sign.facts.append(Fact("count", TOWNS, str(number), keys=("places",), value=number, weight=0.5))
    if number > 1:
        sign.facts.append(Fact("field", NEAREST, towns[0], f"It is {towns[0]}.", ("nearest",)))
    else:
        sign.facts.append(fields.fact("to", towns[0]))
    lack(sign, "price", "date", "person", "phone")


TOWNS = (
    "How many places are on the sign?",
    "How many towns are named?",
    "Count the places on the sign.",
    "How many places are named?",
    "How many destinations are there?",
    "How many cities does the sign name?",
    "What is the number of places named?",
    "How many towns do you see?",
    "Count the destinations.",
)
NEAREST = (
    "Which place is the nearest?",
    "Which town is the closest?",
    "What is the nearest place?",
    "Which place is closest?",
    "Which of the places is the nearest?",
    "Name the nearest place.",
    "Which town has the smallest distance?",
    "What is the closest destination?",
    "To which place is it shortest?",
)


MAKERS = {"tag": tag, "plate": plate, "street": street, "hours": hours, "notice": notice, "road": road}
