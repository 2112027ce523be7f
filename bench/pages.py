"""Pages of text drawn to measure transcription: the same seed gives the same pixels and the same true lines.

Used by the tests (character error rate) and by `bench.transcriber` (speed). Fonts: the one inside Pillow and
the small ones in `tests/data/fonts`, so a fresh machine draws what every other machine draws.
"""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, ImageFont

FONTS = Path(__file__).parent.parent / "tests" / "data" / "fonts"
BUNDLED = "Aileron"
FACES = (BUNDLED, "Lora-Regular", "Lora-Italic", "CourierPrime-Regular", "Inconsolata-Regular", "CutiveMono-Regular")

_VOCABULARY = """
the of and to in is that for was on are with as at be this have from or by one had not but what all were
when we there can an your which their said if do will each about how up out them then she many some so
these would other into has more her two like him see time could no make than first been its who now people
my made over did down only way find use may water long little very after words called just where most know
get through back much before go good new write our used me man too any day same right look think also
around another came come work three word must because does part even place well such here take why things
help put years different away again off went old number great tell men say small every found still between
name should home big give air line set own under read last never us left end along while might next sound
below saw something thought both few those always looked show large often together asked house world going
want school important until form food keep children feet land side without boy once animals life enough
took sometimes four head above kind began almost live page got earth need far hand high year mother light
parts country father let night following picture being study second eyes soon times story boys since white
days ever paper hard near sentence better best across during today others however sure means knew its try
told young miles sun ways thing whole hear example heard several change answer room sea against top turned
learn point city play toward five using himself usually
"""
WORDS = _VOCABULARY.split()
_GOODS = (
    "Espresso", "Oat milk", "Rye bread", "Butter 250g", "Apples 1kg", "Dish soap", "Notebook A5", "Pencil HB",
    "Green tea", "Tomatoes", "Olive oil", "Batteries AA", "Paper towel", "Mustard", "Eggs x12", "Chocolate 70%",
)  # fmt: skip
_STREETS = ("Harbour Road", "Mill Lane", "Station Street", "Garden Row", "Bridge Avenue", "Quarry Hill")


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """A picture, RGB (height, width, 3) uint8, and its lines as a person would read them."""

    name: str
    pixels: npt.NDArray[np.uint8]
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """The lines joined as the transcriber joins them."""
        return "\n".join(self.lines)


@dataclass(frozen=True, slots=True)
class Style:
    """How a page is set: face, text height, colours, margins, how it lies, and the wear a scan would leave."""

    face: str = BUNDLED
    size_px: int = 24
    ink: tuple[int, int, int] = (20, 20, 24)
    paper: tuple[int, int, int] = (255, 255, 255)
    width_px: int = 800
    margin_px: int = 40
    leading: float = 1.5
    noise: float = 0.0
    blur_px: float = 0.0
    jpeg_quality: int = 0
    quarters: int = 0
    """How often the page is turned by 90 degrees, against the clock."""
    tilt_deg: float = 0.0


def load_font(face: str, size_px: int) -> ImageFont.FreeTypeFont:
    """Open a face of `FACES`, or a file of one, at a size."""
    if face == BUNDLED:
        font = ImageFont.load_default(size=size_px)
        if not isinstance(font, ImageFont.FreeTypeFont):
            raise RuntimeError("this Pillow was built without FreeType; install the wheel from PyPI")
        return font
    file = Path(face)
    return ImageFont.truetype(file if file.suffix else FONTS / f"{face}.ttf", size_px)


def make_pages(seed: int = 20, count: int = 20) -> list[Page]:
    """Draw `count` pages, cycling through the layouts and faces."""
    rng = random.Random(seed)
    layouts: Sequence[tuple[str, Callable[[random.Random, Style], Page]]] = (
        ("prose", _prose),
        ("invoice", _invoice),
        ("letter", _letter),
        ("list", _list),
        ("columns", _columns),
    )
    pages = []
    for index in range(count):
        name, draw = layouts[index % len(layouts)]
        style = _styles(rng)[(index // len(layouts)) % 4]
        style = replace(style, face=FACES[index % len(FACES)])
        page = draw(rng, style)
        pages.append(Page(f"{index:02d}-{name}-{style.face}", wear(page.pixels, style, seed + index), page.lines))
    return pages


def make_full_page(seed: int = 32, lines: int = 32) -> Page:
    """Draw one page full of text, to take the time of."""
    page = _prose(random.Random(seed), Style(face="Lora-Regular", size_px=24, width_px=1000), lines)
    return replace(page, name=f"{lines} lines")


def edits(truth: str, answer: str, *, with_layout: bool = False) -> int:
    """Count the characters to insert, delete or replace (Levenshtein); any white space counts as one blank.

    `with_layout` counts line breaks and tabs as the characters they are.
    """
    if not with_layout:
        truth, answer = " ".join(truth.split()), " ".join(answer.split())
    shorter = min(len(truth), len(answer))
    same = next((at for at in range(shorter) if truth[at] != answer[at]), shorter)
    truth, answer = truth[same:], answer[same:]
    before = list(range(len(answer) + 1))
    for row, wanted in enumerate(truth, start=1):
        now = [row]
        for column, given in enumerate(answer, start=1):
            now.append(min(before[column] + 1, now[-1] + 1, before[column - 1] + (wanted != given)))
        before = now
    return before[-1]


def _styles(rng: random.Random) -> tuple[Style, ...]:
    """Clean, small print, a scan, and white on dark."""
    return (
        Style(size_px=rng.choice((24, 28)), width_px=rng.choice((760, 900))),
        Style(size_px=18, width_px=720, leading=1.4),
        Style(size_px=26, paper=(246, 240, 226), noise=8.0, blur_px=0.6, jpeg_quality=60),
        Style(size_px=24, ink=(235, 238, 240), paper=(28, 32, 44)),
    )


def sentence(rng: random.Random) -> str:
    """Make one up."""
    words = rng.choices(WORDS, k=rng.randint(6, 14))
    if rng.random() < 0.3:
        words.insert(rng.randint(1, len(words) - 1), str(rng.randint(2, 9999)))
    if rng.random() < 0.3:
        words[rng.randint(1, len(words) - 2)] += ","
    return " ".join(words).capitalize() + rng.choice(".....?!")


def wrap(rng: random.Random, font: ImageFont.FreeTypeFont, width_px: float, count: int) -> list[str]:
    """Make up `count` lines of running text that fill a width."""
    lines: list[str] = []
    words: list[str] = []
    while len(lines) < count:
        words = words or sentence(rng).split()
        line = words.pop(0)
        while True:
            words = words or sentence(rng).split()
            if font.getlength(f"{line} {words[0]}") > width_px:
                break
            line += " " + words.pop(0)
        lines.append(line)
    return lines


class _Sheet:
    """A canvas that places lines from top to bottom."""

    def __init__(self, style: Style, rows: int) -> None:
        self.style = style
        self.font = load_font(style.face, style.size_px)
        self.step_px = round(style.size_px * style.leading)
        height_px = 2 * style.margin_px + rows * self.step_px
        self.image = Image.new("RGB", (style.width_px, height_px), style.paper)
        self.draw = ImageDraw.Draw(self.image)

    def put(self, row: float, text: str, x_px: float | None = None) -> None:
        x_px = self.style.margin_px if x_px is None else x_px
        y_px = self.style.margin_px + row * self.step_px
        self.draw.text((x_px, y_px), text, fill=self.style.ink, font=self.font)

    def put_right(self, row: float, text: str) -> None:
        self.put(row, text, self.style.width_px - self.style.margin_px - self.font.getlength(text))

    def page(self, lines: Sequence[str]) -> Page:
        return Page("", np.asarray(self.image), tuple(lines))


def _prose(rng: random.Random, style: Style, rows: int = 18) -> Page:
    sheet = _Sheet(style, rows)
    lines = wrap(rng, sheet.font, style.width_px - 2 * style.margin_px, rows)
    for row, line in enumerate(lines):
        sheet.put(row, line)
    return sheet.page(lines)


def _invoice(rng: random.Random, style: Style) -> Page:
    goods = rng.sample(_GOODS, 9)
    sheet = _Sheet(style, len(goods) + 5)
    lines = [
        f"Invoice No. {rng.randint(10000, 99999)}",
        f"Date: 2026-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}",
    ]
    for row, line in enumerate(lines):
        sheet.put(row, line)
    total = 0
    for row, item in enumerate(goods, start=3):
        quantity, cents = rng.randint(1, 9), rng.randint(99, 4999)
        total += quantity * cents
        amount = f"{quantity * cents / 100:.2f}"
        sheet.put(row, item)
        sheet.put(row, f"{quantity} pcs", style.width_px * 0.5)
        sheet.put_right(row, amount)
        lines.append(f"{item} {quantity} pcs {amount}")
    sheet.put(len(goods) + 4, "Total EUR")
    sheet.put_right(len(goods) + 4, f"{total / 100:.2f}")
    lines.append(f"Total EUR {total / 100:.2f}")
    return sheet.page(lines)


def _letter(rng: random.Random, style: Style) -> Page:
    sheet = _Sheet(style, 18)
    head = [
        f"{rng.choice(_STREETS)} {rng.randint(2, 180)}",
        f"Phone: +44 20 7946 0{rng.randint(100, 999)}",
        f"Reference: QX-{rng.randint(100, 999)}/{rng.randint(10, 99)}",
    ]
    body = wrap(rng, sheet.font, style.width_px - 2 * style.margin_px, 10)
    for row, line in enumerate(head):
        sheet.put_right(row, line)
    for row, line in enumerate(body, start=5):
        sheet.put(row, line)
    sheet.put(16, "Yours sincerely,")
    return sheet.page([*head, *body, "Yours sincerely,"])


def _list(rng: random.Random, style: Style) -> Page:
    sheet = _Sheet(style, 14)
    lines = [f"{number}. {' '.join(rng.choices(WORDS, k=4)).capitalize()}" for number in range(1, 15)]
    for row, line in enumerate(lines):
        sheet.put(row, line)
    return sheet.page(lines)


def _columns(rng: random.Random, style: Style) -> Page:
    style = replace(style, width_px=max(style.width_px, style.size_px * 40))
    sheet = _Sheet(style, 14)
    gutter_px = 2 * style.size_px
    column_px = (style.width_px - 2 * style.margin_px - gutter_px) / 2
    lines: list[str] = []
    for x_px in (style.margin_px, style.margin_px + column_px + gutter_px):
        column = wrap(rng, sheet.font, column_px, 14)
        for row, line in enumerate(column):
            sheet.put(row, line, x_px)
        lines += column
    return sheet.page(lines)


def wear(pixels: npt.NDArray[np.uint8], style: Style, seed: int) -> npt.NDArray[np.uint8]:
    """Tilt, blur, grain and compress a page as its style says, and turn it."""
    image = Image.fromarray(pixels)
    if style.tilt_deg:
        image = image.rotate(style.tilt_deg, Image.Resampling.BICUBIC, expand=True, fillcolor=style.paper)
    if style.blur_px:
        image = image.filter(ImageFilter.GaussianBlur(style.blur_px))
    if style.noise:
        grain = np.random.default_rng(seed).normal(0.0, style.noise, (image.height, image.width, 1))
        image = Image.fromarray(np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8))
    if style.jpeg_quality:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=style.jpeg_quality)
        image = Image.open(buffer)
    return np.ascontiguousarray(np.rot90(np.array(image), style.quarters))
