"""Seven-segment displays: clocks, meters, scales and counters, with the unit or the name printed beside the digits."""

from __future__ import annotations

import numpy as np

from pictures.asking import Absent, Fact, ask
from pictures.base import Picture, Split, pick
from pictures.fields import absent
from pictures.fonts import faces, pick_file
from pictures.layout import pick_type
from pictures.lines import WHAT, least_size, sheet_size
from pictures.page import Colour, Page
from pictures.palette import mix, pick_palette, rgb
from pictures.typeset import font
from pictures.wear import finish

READ = (
    "What does the display show?",
    "Read the display.",
    "What is the reading?",
    "Which number is on the display?",
    "What does the display say?",
    "What value is shown?",
    "What is on the screen of the device?",
    "Give me the reading.",
    "Which value does the meter show?",
    "Read the meter.",
)
UNIT = (
    "What is the unit?",
    "Which unit is shown?",
    "In which unit is it?",
    "What unit does the display use?",
    "Read the unit.",
    "Which unit stands beside the number?",
    "What is the unit of the value?",
    "Name the unit.",
    "What is the printed unit?",
)
UNITS = ("kWh", "kg", "°C", "g", "bar", "km/h", "V", "A", "W", "rpm", "ml", "Hz", "cm", "lb", "psi", "%", "°F", "mph")
LCDS = ((75, 0.18, 0.72), (200, 0.1, 0.75), (50, 0.12, 0.78), (150, 0.15, 0.7))
LEDS = ((0, 0.95, 1.0), (120, 0.9, 0.95), (205, 0.8, 1.0), (30, 0.95, 1.0), (180, 0.6, 1.0), (0, 0.0, 1.0))


def draw_display(rng: np.random.Generator, split: Split) -> Picture:
    size = sheet_size(rng, narrow=0.9, wide=1.7, large=0.05)
    palette = pick_palette(rng, split, dark=0.5)
    page = Page(size, palette.paper)
    style = "segments" if faces(split, "segments") else "mono"
    glass, ink = glass_and_ink(rng)
    is_clock = bool(rng.random() < 0.3)
    text = f"{rng.integers(0, 24):02d}:{rng.integers(0, 60):02d}" if is_clock else reading(rng)
    unit = "" if is_clock or rng.random() < 0.35 else pick(rng, UNITS)
    file = pick_file(rng, split, style)
    most = min(size[1] * 0.5, size[0] * 0.7 / font(file, 100).width(text) * 100)
    least = 1.6 * least_size(size)
    face = font(file, float(np.exp(rng.uniform(np.log(least), np.log(max(least, most))))))
    wide, high = face.width(text), float(face.cap_height if style == "mono" else -face.ink("8").top)
    pad = 0.35 * high
    plain = pick_type(rng, split, "sans").at(max(least_size(size), min(0.4 * high, size[0] * 0.06)))
    side = plain.width(unit) + 0.4 * high if unit else 0.0
    left = pad + float(rng.random()) * max(0.0, size[0] - wide - side - 2.2 * pad)
    base = float(rng.uniform(high + 2 * pad, max(high + 2.1 * pad, size[1] - 2 * pad)))
    page.fill((left - pad, base - high - pad, left + wide + pad + side, base + pad), glass, radius=0.15 * high)
    if rng.random() < 0.5:
        page.frame((left - pad, base - high - pad, left + wide + pad + side, base + pad), palette.muted, line=3)
    page.write(text, (left, base), face, ink)
    if unit:
        page.write(unit, (left + wide + 0.25 * high, base), plain, ink)
    image, glyphs = finish(page, rng, tilt=0.7)
    facts = metadata_of(text, unit, is_clock=is_clock)
    lacking: list[Absent] = absent(["total", "person", "email"])
    return Picture("display", (image,), (glyphs,), ask(rng, split, facts, lacking, what="a display"))


def reading(rng: np.random.Generator) -> str:
    value = int(10 ** rng.uniform(0, 5.5))
    chance = rng.random()
    if chance < 0.4:
        return str(value)
    if chance < 0.85:
        return f"{value / 10:.1f}" if chance < 0.65 else f"{value / 100:.2f}"
    return f"-{value % 90 + 1}" if chance < 0.92 else f"{value:06d}"


def glass_and_ink(rng: np.random.Generator) -> tuple[Colour, Colour]:
    if rng.random() < 0.45:
        glass = rgb(pick(rng, LCDS), rng)
        return glass, mix((15, 20, 18), glass, float(rng.uniform(0, 0.15)))
    return mix((8, 8, 10), (40, 30, 40), float(rng.random())), rgb(pick(rng, LEDS), rng)


def metadata_of(text: str, unit: str, *, is_clock: bool) -> list[Fact]:
    told = f"It shows {text}{' ' + unit if unit else ''}."
    facts = [Fact("number", READ, text if not unit else f"{text} {unit}", told, ("reading", "value"), weight=3)]
    if is_clock:
        facts.append(Fact("word", WHAT["clock"], text, f"It is {text}.", ("time",), weight=2))
    else:
        facts.append(Fact("number", WHAT["number"], text, f"The number is {text}.", ("number",), weight=2))
    if unit:
        facts.append(Fact("word", UNIT, unit, f"The unit is {unit}.", ("unit",)))
    count = sum(character.isdigit() for character in text)
    facts.append(Fact("count", DIGITS, str(count), keys=("digits",), value=count, weight=0.4))
    return facts


DIGITS = (
    "How many digits does the display show?",
    "How many digits are there?",
    "Count the digits.",
    "How many digits do you see?",
    "What is the number of digits?",
    "How many digits are on the display?",
    "How many figures are shown?",
    "Count the digits on the display.",
    "How many digits does the reading have?",
)
