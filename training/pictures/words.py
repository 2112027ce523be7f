"""What is written on pictures: words, names, numbers, dates, amounts, codes; each word belongs to one split.

In: Debian's public word lists as gather.py leaves them (a short list of our own where they are absent), and lists
written here. Out: texts that a split may use: the checksum of a word says which split it is in, so that no word of
an eval picture was ever taught. Only the little words of WEAK and the labels of forms are everyone's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from zlib import crc32

import numpy as np

from pictures.base import Split, pick, split_of
from pictures.fonts import GATHERED
from pictures.lexicon import (
    COMMON,
    COMPANY_ENDS,
    FIRST,
    LAST,
    PRODUCT_MAKES,
    PRODUCTS,
    SPOKEN_WORDS,
    STREET_ENDS,
    TOWNS,
)

WEAK = (
    "the",
    "a",
    "of",
    "and",
    "to",
    "in",
    "for",
    "with",
    "on",
    "at",
    "by",
    "is",
    "are",
    "was",
    "it",
    "as",
    "or",
    "we",
)
MONTHS: tuple[str, ...] = ("January", "February", "March", "April", "May", "June", "July", "August")
MONTHS += ("September", "October", "November", "December")
SPOKEN = frozenset(SPOKEN_WORDS)
SPOKEN_SHARE = 0.15
SPOKEN_LEAST = COMMON_LEAST = 12
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
SHORT = 60
COMPOUND = 0.06
"""Share of the blanks between words learnt from that are a hyphen: else a model copies "two-part" as "two- part"."""
FEWER = (1, 4, 8, 12, 24)
"""One in how many words of a list a picture that is learnt from may use."""
CODE_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"
RANDOM_LETTERS = "abcdefghijkmnopqrstuvwxyz"


def home(word: str) -> Split:
    """Return the one split that may write a word.

    Words that questions and answers are made of are pieces of the tokenizer, so training has to write them: a piece
    that no picture ever had is not copied.
    """
    return "train" if word.lower() in SPOKEN else split_of(word)


@lru_cache(maxsize=4)
def dictionary(split: Split) -> tuple[str, ...]:
    file = GATHERED / "words.txt"
    words = file.read_text(encoding="utf-8").split() if file.exists() else list(COMMON)
    return tuple(word for word in words if home(word) == split)


@lru_cache(maxsize=64)
def of_split(words: tuple[str, ...], split: Split) -> tuple[str, ...]:
    """Return a split's share of a list: by checksum, or by place where the list is short."""
    if len(words) < SHORT:
        return tuple(word for i, word in enumerate(words) if {7: "eval", 3: "watch"}.get(i % 8, "train") == split)
    return tuple(word for word in words if home(word) == split)


def choose(rng: np.random.Generator, split: Split, words: tuple[str, ...]) -> str:
    """Choose one of a list that the split may use."""
    share = of_split(words, split)
    return pick(rng, few(rng, share, len(of_split(words, "eval"))) if split == "train" else share)


def few(rng: np.random.Generator, words: tuple[str, ...], least: int) -> tuple[str, ...]:
    """Return the part of a list that one picture uses: all of it, or down to `least`, which is what eval has of it.

    Where words hardly ever come again, the one before tells what comes next. Real lists repeat theirs ("Smith, A.",
    "Smith, J."), and so do eval's few words. A picture's own number says how many it has and which.
    """
    number = crc32(repr(rng.bit_generator.seed_seq.entropy).encode())  # type: ignore[attr-defined]
    step = max(1, min(FEWER[number % len(FEWER)], len(words) // max(1, least)))
    return words[number // len(FEWER) % step :: step]


def word(rng: np.random.Generator, split: Split) -> str:
    """Return a word: a common one, any one of the dictionary's, or letters that mean nothing."""
    chance = rng.random()
    if chance < 0.4:
        return common(rng, split)
    if chance < 0.85:
        return pick(rng, dictionary(split))
    return letters(rng, split)


def real(rng: np.random.Generator, split: Split) -> str:
    """Return a word that means something, in small letters."""
    return common(rng, split) if rng.random() < 0.6 else pick(rng, dictionary(split)).lower()


def common(rng: np.random.Generator, split: Split) -> str:
    """Return a common word; in training also such as questions are made of."""
    if split == "train" and rng.random() < SPOKEN_SHARE:
        return pick(rng, few(rng, SPOKEN_WORDS, SPOKEN_LEAST))
    share = of_split(COMMON, split)
    return pick(rng, few(rng, share, COMMON_LEAST) if split == "train" else share)


def letters(rng: np.random.Generator, split: Split) -> str:
    while True:
        made = "".join(pick(rng, RANDOM_LETTERS) for _ in range(int(rng.integers(3, 9))))
        if split_of(made) == split:
            return made


def cased(rng: np.random.Generator, text: str) -> str:
    chance = rng.random()
    if chance < 0.4:
        return text[0].upper() + text[1:]
    return text.upper() if chance < 0.65 and "ß" not in text else text


def code(rng: np.random.Generator, split: Split) -> str:
    """Return an order number, a plate or the like: letters and digits that do not look alike."""
    while True:
        style = int(rng.integers(6))
        a = "".join(pick(rng, CODE_LETTERS) for _ in range(int(rng.integers(2, 4))))
        n = int(rng.integers(100, 100000))
        made = (f"{a}-{n}", f"{a}{n}", f"{n}{a}", f"#{n}", f"{n}-{a}", f"{a} {n}")[style]
        if split_of(made) == split:
            return made


def name(rng: np.random.Generator, split: Split) -> str:
    return f"{choose(rng, split, FIRST)} {choose(rng, split, LAST)}"


def company(rng: np.random.Generator, split: Split) -> str:
    chance = rng.random()
    first = choose(rng, split, LAST) if chance < 0.4 else choose(rng, split, COMMON).capitalize()
    return f"{first} {pick(rng, COMPANY_ENDS)}"


def product(rng: np.random.Generator, split: Split) -> str:
    thing = choose(rng, split, PRODUCTS)
    return thing if rng.random() < 0.45 else f"{choose(rng, split, PRODUCT_MAKES)} {thing.lower()}"


def street(rng: np.random.Generator, split: Split) -> str:
    return f"{rng.integers(1, 300)} {choose(rng, split, COMMON).capitalize()} {pick(rng, STREET_ENDS)}"


def town(rng: np.random.Generator, split: Split) -> str:
    return choose(rng, split, TOWNS)


def phone(rng: np.random.Generator) -> str:
    a, b, c = int(rng.integers(20, 999)), int(rng.integers(100, 999)), int(rng.integers(1000, 9999))
    return pick(rng, (f"0{a} {b}{c}", f"+{a % 90 + 10} {b} {c}", f"({b}) {a + 100}-{c}", f"{b}-{a + 100}-{c}"))


def address(rng: np.random.Generator, split: Split, who: str = "") -> str:
    """Return an e-mail address at a name that no one can have."""
    user = (who or name(rng, split)).lower().split()
    plain = str.maketrans("éüäöñçàè", "euaoncae")
    host = choose(rng, split, COMMON)
    return f"{user[0]}.{user[-1]}@{host}.example".replace("ß", "ss").translate(plain)


def number(rng: np.random.Generator) -> str:
    digits = int(rng.integers(1, 8))
    value = int(rng.integers(10 ** (digits - 1), 10**digits))
    chance = rng.random()
    if chance < 0.2:
        return f"{value:,}"
    if chance < 0.4:
        return f"{value / 10 ** int(rng.integers(1, 3)):.2f}".rstrip("0").rstrip(".")
    if chance < 0.47:
        return f"-{value % 1000}"
    return f"{value % 101}%" if chance < 0.57 else str(value)


def clock(rng: np.random.Generator) -> str:
    hour, minute = int(rng.integers(0, 24)), int(rng.integers(0, 60))
    if rng.random() < 0.3:
        return f"{hour % 12 + 1}:{minute:02d} {'AM' if hour < 12 else 'PM'}"
    return f"{hour:02d}:{minute:02d}"


@dataclass(frozen=True, slots=True)
class Money:
    """How amounts look on one document: sign, place of the sign, decimal mark."""

    sign: str
    after: bool
    comma: bool

    def show(self, cents: int) -> str:
        whole, rest = divmod(abs(cents), 100)
        mark, group = (",", ".") if self.comma else (".", ",")
        text = f"{whole:,}".replace(",", group) + f"{mark}{rest:02d}"
        minus = "-" if cents < 0 else ""
        if not self.sign:
            return minus + text
        return f"{minus}{text} {self.sign}" if self.after else f"{minus}{self.sign}{text}"


def money(rng: np.random.Generator) -> Money:
    chance = rng.random()
    if chance < 0.35:
        return Money("$", after=False, comma=False)
    if chance < 0.5:
        return Money("£", after=False, comma=False)
    if chance < 0.62:
        return Money("€", after=False, comma=False)
    if chance < 0.75:
        return Money("€", after=True, comma=True)
    if chance < 0.83:
        return Money(pick(rng, ("EUR", "USD", "CHF", "kr")), after=True, comma=bool(rng.random() < 0.4))
    return Money("", after=False, comma=bool(rng.random() < 0.25))


def amount(rng: np.random.Generator) -> str:
    return money(rng).show(cents(rng))


def cents(rng: np.random.Generator, most: float = 5.3) -> int:
    """Return a price: small ones as often as large ones, many that end in 0, 5 or 9."""
    value = int(10 ** rng.uniform(1.7, most))
    if rng.random() < 0.4:
        return max(50, value // 10 * 10 + pick(rng, (0, 5, 9)))
    return value


DATE_STYLES = ("iso", "dots", "slashes", "us", "uk", "short", "dash", "full")


def date_style(rng: np.random.Generator) -> str:
    return pick(rng, DATE_STYLES)


def date(rng: np.random.Generator, style: str = "") -> str:
    """Return a date in one of the ways they are printed."""
    year, month, day = int(rng.integers(1990, 2035)), int(rng.integers(1, 13)), int(rng.integers(1, 29))
    named = MONTHS[month - 1]
    return {
        "iso": f"{year}-{month:02d}-{day:02d}",
        "dots": f"{day:02d}.{month:02d}.{year}",
        "slashes": f"{month:02d}/{day:02d}/{year}",
        "us": f"{named} {day}, {year}",
        "uk": f"{day} {named} {year}",
        "short": f"{day} {named[:3]} {year}",
        "dash": f"{day:02d}-{named[:3]}-{year}",
        "full": f"{pick(rng, DAYS)}, {day} {named} {year}",
    }[style or date_style(rng)]


def phrase(rng: np.random.Generator, split: Split, words: int) -> str:
    """Return so many words in a row, small ones between them as in a sentence."""
    made: list[str] = []
    while len(made) < words:
        if made and made[-1] not in WEAK and rng.random() < 0.3 and len(made) < words - 1:
            made.append(pick(rng, WEAK))
        else:
            made.append(real(rng, split))
    if split != "train":
        return " ".join(made)
    return "".join(("-" if rng.random() < COMPOUND else " ") * (i > 0) + word for i, word in enumerate(made))


def sentence(rng: np.random.Generator, split: Split, words: int) -> str:
    text = phrase(rng, split, words)
    return text[0].upper() + text[1:] + pick(rng, (".", ".", ".", ".", "!", "?"))
