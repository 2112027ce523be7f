"""Two pictures with writing on them: which says what, whether they agree, which shows more, which date is later."""

from __future__ import annotations

import datetime

import numpy as np
from PIL import Image

from pictures import words
from pictures.asking import Fact, ask
from pictures.base import Glyph, Picture, Split, pick
from pictures.fonts import pick_file
from pictures.ground import ground
from pictures.lines import least_size, say, sheet_size
from pictures.page import Page
from pictures.palette import pick_palette
from pictures.typeset import font
from pictures.wear import finish

ORDER = ("first", "second")
ONE = (
    "What does the {o} image say?",
    "Read the {o} image.",
    "What is written in the {o} picture?",
    "What is the text in the {o} image?",
    "What do you read in the {o} picture?",
    "What does image {n} say?",
    "Read the text of image {n}.",
    "Which text is in the {o} image?",
    "What is in picture {n}?",
)
BOTH = (
    "What do the two images say?",
    "Read both images.",
    "What is written in the two pictures?",
    "Read the text of both images.",
    "What does each image say?",
    "Transcribe both images.",
    "What texts do the images show?",
    "Read the first and the second image.",
    "Give me the text of both pictures.",
)
SAME = (
    "Do both images say the same?",
    "Is the text in both images the same?",
    "Do the two pictures show the same text?",
    "Are the texts equal?",
    "Is the same written in both?",
    "Do the images have the same text?",
    "Do the two images read the same?",
    "Is it the same text twice?",
    "Do both pictures say the same thing?",
)
WHICH = (
    'Which image says "{}"?',
    'In which image is "{}" written?',
    'Which picture shows "{}"?',
    'Where does it say "{}", in the first or the second image?',
    'Which of the images has the text "{}"?',
    'Which one says "{}"?',
    'Which image contains "{}"?',
    'On which picture can you read "{}"?',
    'Is "{}" in the first or in the second image?',
)
MORE = (
    "Which image shows the {w} {k}?",
    "Which {k} is {w}, the first or the second?",
    "In which image is the {k} {w}?",
    "Which picture has the {w} {k}?",
    "Is the {k} {w} in the first or in the second image?",
    "Which of the two shows the {w} {k}?",
    "Which one is the {w} {k}?",
    "Where is the {k} {w}?",
    "Which of the images has the {w} {k}?",
)
NEARLY = "oaeiurntsl"


def draw_twins(rng: np.random.Generator, split: Split) -> Picture:
    sort = pick(rng, ("word", "word", "number", "amount", "date", "code", "phrase"))
    texts, order = pair_of(sort, rng, split)
    drawn = [image_of(text, rng, split) for text in texts]
    questions = ask(rng, split, metadata_of(texts, sort, order, rng))
    return Picture("twins", tuple(image for image, _ in drawn), tuple(glyphs for _, glyphs in drawn), questions)


def pair_of(sort: str, rng: np.random.Generator, split: Split) -> tuple[tuple[str, str], int]:
    """Return two texts, the same in about half of the cases, and the sign of second minus first (0: no order)."""
    if sort == "number":
        a, b = (int(10 ** rng.uniform(0.5, 5)) for _ in range(2))
        b = a if rng.random() < 0.45 else b
        return (str(a), str(b)), int(np.sign(b - a))
    if sort == "amount":
        money, (a, b) = words.money(rng), (words.cents(rng) for _ in range(2))
        b = a if rng.random() < 0.45 else b
        return (money.show(a), money.show(b)), int(np.sign(b - a))
    if sort == "date":
        first, second = (
            datetime.date(int(rng.integers(1995, 2031)), int(rng.integers(1, 13)), int(rng.integers(1, 29)))
            for _ in range(2)
        )
        second = first if rng.random() < 0.45 else second
        style = pick(rng, ("%d.%m.%Y", "%Y-%m-%d", "%d %B %Y", "%d %b %Y"))
        return (first.strftime(style), second.strftime(style)), int(np.sign((second - first).days))
    text = say(rng, split, sort)
    chance = rng.random()
    if chance < 0.48:
        return (text, text), 0
    if chance < 0.7 and sort == "word" and split == "train" and len(text) > 3:
        i = int(rng.integers(1, len(text)))
        other = text[:i] + pick(rng, NEARLY.upper() if text[i].isupper() else NEARLY) + text[i + 1 :]
        return (text, other), 0
    return (text, say(rng, split, sort)), 0


def image_of(text: str, rng: np.random.Generator, split: Split) -> tuple[Image.Image, tuple[Glyph, ...]]:
    size = sheet_size(rng, narrow=0.9, wide=1.8, large=0.0)
    palette = pick_palette(rng, split, dark=0.35)
    page = Page(size, palette.paper)
    page.show(ground(rng, size, palette))
    file = pick_file(rng, split)
    while (most := min(size[1] * 0.5, size[0] * 0.92 / font(file, 100).width(text) * 100)) < least_size(size):
        file = pick_file(rng, split)
    em = float(np.exp(rng.uniform(np.log(least_size(size)), np.log(most))))
    face = font(file, max(least_size(size), em))
    x = size[0] * 0.03 + float(rng.random()) * max(0.0, size[0] * 0.94 - face.width(text))
    y = float(rng.uniform(1.1 * face.size, size[1] - 0.4 * face.size))
    page.write(text, (x, y), face, palette.ink)
    return finish(page, rng)


def metadata_of(texts: tuple[str, str], sort: str, order: int, rng: np.random.Generator) -> list[Fact]:
    same = texts[0] == texts[1]
    told = "Yes, they do." if same else f'No, the first says "{texts[0]}" and the second "{texts[1]}".'
    facts = [
        Fact("compare", SAME, "yes" if same else "no", told, ("same",), same, weight=2),
        Fact("compare", BOTH, "\n".join(texts), weight=0.6),
    ]
    for i in range(2):
        asked = [w.format(o=ORDER[i], n=i + 1) for w in ONE]
        facts.append(Fact("compare", asked, texts[i], keys=(f"{ORDER[i]}_image", f"{ORDER[i]}"), value=texts[i]))
    if not same and texts[0] not in texts[1] and texts[1] not in texts[0]:
        i = int(rng.integers(2))
        facts.append(
            Fact("compare", [w.format(texts[i]) for w in WHICH], ORDER[i], f"The {ORDER[i]} image.", weight=1.5)
        )
    if order:
        most = bool(rng.random() < 0.5)
        word = {"date": ("later", "earlier")}.get(sort, ("higher", "lower"))[0 if most else 1]
        winner = ORDER[int((order > 0) == most)]
        asked = [w.format(w=word, k=sort) for w in MORE]
        facts.append(Fact("compare", asked, winner, f"The {winner} image.", (f"{word}_{sort}",), weight=2.5))
    return facts
