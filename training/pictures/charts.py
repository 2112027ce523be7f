"""Bar, line and pie charts whose every asked value is printed on them or lies on a gridline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pictures import lexicon, words
from pictures.asking import Absent, Fact, ask
from pictures.base import Picture, Split, pick, split_of
from pictures.fields import absent
from pictures.ground import ground
from pictures.layout import Type, pick_type
from pictures.lines import least_size, sheet_size
from pictures.page import Box, Page
from pictures.palette import Palette, mix, pick_palette, rgb
from pictures.plots import Plot, draw_bars, draw_curve, draw_pie
from pictures.wear import finish

KIND = (
    "What kind of chart is this?",
    "Which type of chart is it?",
    "What type of chart do you see?",
    "Is it a bar, line or pie chart?",
    "What sort of diagram is this?",
    "Which kind of diagram is shown?",
    "Name the type of chart.",
    "What chart is this?",
    "What type of graph is this?",
)
VALUE = (
    "What is the value of {}?",
    "What is the value for {}?",
    "What value does {} have?",
    "How much is {}?",
    "What does the chart show for {}?",
    "Read the value of {}.",
    "How high is {}?",
    "Which value belongs to {}?",
    "Give me the value of {}.",
    "What number is shown for {}?",
    "Find the value of {}.",
)
HIGHEST = (
    "Which is the {}?",
    "Which label has the {} value?",
    "What has the {} value?",
    "Which category is the {}?",
    "Which one is the {}?",
    "Name the category with the {} value.",
    "Where is the {} value?",
    "Which has the {} value?",
    "What is the label of the {} value?",
    "Which category has the {} value?",
)
PEAK = (
    "What is the {} value?",
    "What is the {} value shown?",
    "How much is the {} value?",
    "Read the {} value.",
    "Which is the {} number?",
    "Give me the {} value.",
    "Find the {} value.",
    "What's the {} value in the chart?",
    "Tell me the {} value.",
)
COUNT = {
    "bar": (
        "How many bars are there?",
        "How many bars does the chart have?",
        "Count the bars.",
        "What is the number of bars?",
        "How many bars do you see?",
        "How many bars are shown?",
        "How many categories are there?",
        "Tell me how many bars there are.",
        "How many columns does the chart show?",
    ),
    "line": (
        "How many points are there?",
        "How many points does the line have?",
        "Count the points on the line.",
        "What is the number of points?",
        "How many data points do you see?",
        "How many data points are shown?",
        "How many values does the line have?",
        "Tell me how many points there are.",
        "How many markers are on the line?",
    ),
    "pie": (
        "How many slices are there?",
        "How many slices does the pie have?",
        "Count the slices.",
        "What is the number of slices?",
        "How many parts does the chart have?",
        "How many slices are shown?",
        "How many categories are there?",
        "Tell me how many slices there are.",
        "How many pieces is the pie cut into?",
    ),
}
MORE = (
    "Is {} higher than {}?",
    "Is {} larger than {}?",
    "Does {} have a higher value than {}?",
    "Is the value of {} greater than that of {}?",
    "Is {} more than {}?",
    "Is {} greater than {}?",
    "Does {} beat {}?",
    "Is {} bigger than {}?",
    "Does {} have more than {}?",
)
LEARNT_COMPARED, LEARNT_RANKS = 5, 2.0
"""Pairs of values compared of a chart that is learnt from (one, of an examination's), and how much more often it is
asked for its highest and lowest: small models learn these late."""
TITLE = (
    "What is the title of the chart?",
    "What is the title?",
    "Read the title.",
    "What is the chart about?",
    "What is the chart called?",
    "Which title does the chart have?",
    "What does the title say?",
    "What is written above the chart?",
    "Name the chart's title.",
)
LABELS = (
    "Which categories are shown?",
    "List the labels.",
    "What are the labels?",
    "Name all the categories.",
    "Read the labels in order.",
    "Which labels does the chart have?",
    "What categories does the chart have?",
    "List all categories.",
    "What are the categories called?",
)
AS_JSON = (
    "Return the values as JSON.",
    "Extract the data of the chart.",
    "Turn the chart into JSON.",
    "Give me the data as JSON.",
    "Read the chart into JSON.",
    "Extract labels and values as JSON.",
    "What data does the chart show? Answer as JSON.",
    "Output the chart's data as JSON.",
    "Convert the chart to JSON.",
)
THEMES = (
    "Sales",
    "Visitors",
    "Revenue",
    "Orders",
    "Rainfall",
    "Points",
    "Members",
    "Costs",
    "Output",
    "Users",
    "Trips",
)


@dataclass(frozen=True, slots=True)
class Look:
    kind: str
    grid: str
    values: str
    frame: str

    @property
    def name(self) -> str:
        return f"chart-{self.kind}-{self.grid}-{self.values}-{self.frame}"


def pick_look(rng: np.random.Generator, split: Split) -> Look:
    while True:
        look = Look(
            pick(rng, ("bars", "bars", "rows", "line", "pie", "ring")),
            pick(rng, ("solid", "dashed", "ticks")),
            pick(rng, ("printed", "printed", "gridlines")),
            pick(rng, ("axes", "box", "none")),
        )
        if split_of(look.name) == split:
            return look


def draw_chart(rng: np.random.Generator, split: Split) -> Picture:
    look = pick_look(rng, split)
    kind = {"bars": "bar", "rows": "bar", "line": "line", "pie": "pie", "ring": "pie"}[look.kind]
    size = sheet_size(rng, narrow=0.85, wide=1.6, large=0.1)
    palette = pick_palette(rng, split, dark=0.25)
    page = Page(size, palette.paper)
    page.show(ground(rng, size, palette, busy=0.12))
    type_ = pick_type(rng, split, "sans", "sans", "sans", "serif", "mono")
    em = float(np.ceil(least_size(size) * rng.uniform(1.0, 1.35)))
    labels = sample_labels(rng, split, kind)
    shown, step = sample_values(rng, len(labels), kind, printed=look.values == "printed" or kind == "pie")
    unit = "%" if kind == "pie" else pick(rng, ("", "", "", "%", "k"))
    title, top = "", 0.05 * size[1]
    if rng.random() < 0.7:
        title, top = write_title(page, type_, em, palette, rng, split)
    labels = shortened(labels, look, type_, em, size)
    plot = Plot(labels, shown[: len(labels)], unit, step, look.grid, look.frame, look.values == "printed")
    room = (0.03 * size[0], top, 0.97 * size[0], 0.97 * size[1])
    colours = sample_colours(rng, palette, len(labels), one=kind != "pie" and bool(rng.random() < 0.65))
    paint(page, look, plot, type_, em, palette, room, colours)
    image, glyphs = finish(page, rng, tilt=0.5)
    facts = metadata_of(kind, plot, title, rng, learnt=split == "train")
    lacking: list[Absent] = absent(["phone", "email", "invoice", "cashier", "address"])
    questions = ask(rng, split, facts, lacking, what=f"a {kind} chart")
    unprinted = () if look.values == "printed" or kind == "pie" else tuple(values_of(plot))
    return Picture("chart", (image,), (glyphs,), questions, values=unprinted)


def values_of(plot: Plot) -> list[tuple[str, str]]:
    return [(label, plot.text(i)) for i, label in enumerate(plot.labels)]


def paint(
    page: Page,
    look: Look,
    plot: Plot,
    type_: Type,
    em: float,
    palette: Palette,
    room: Box,
    colours: list[tuple[int, int, int]],
) -> None:
    if look.kind in ("bars", "rows"):
        draw_bars(page, plot, (type_.at(em), palette), room, colours, sideways=look.kind == "rows")
    elif look.kind == "line":
        draw_curve(page, plot, (type_.at(em), palette), room, colours[0])
    else:
        draw_pie(page, plot, (type_.at(em), palette), room, colours, ring=look.kind == "ring")


def sample_labels(rng: np.random.Generator, split: Split, kind: str) -> list[str]:
    number = int(rng.integers(3, 7)) if kind == "pie" else int(rng.integers(3, 9))
    sort = pick(rng, ("month", "day", "year", "word", "name", "product", "town", "letter"))
    if kind == "line":
        sort = pick(rng, ("month", "day", "year", "quarter"))
    if sort == "month":
        start = int(rng.integers(0, 12 - number + 1))
        return [name[:3] for name in words.MONTHS[start : start + number]]
    if sort == "day":
        return [name[:3] for name in words.DAYS[: min(number, 7)]]
    if sort == "year":
        start = int(rng.integers(1990, 2026))
        return [str(start + i) for i in range(number)]
    if sort == "letter":
        return list("ABCDEFGH"[:number])
    if sort == "quarter":
        return [f"Q{i + 1}" for i in range(min(number, 4))]
    found: list[str] = []
    tries = 0
    while len(found) < number and tries < 200:
        tries += 1
        made = {
            "word": lambda: words.choose(rng, split, lexicon.COMMON).capitalize(),
            "name": lambda: words.choose(rng, split, lexicon.FIRST),
            "product": lambda: words.choose(rng, split, lexicon.PRODUCTS),
            "town": lambda: words.town(rng, split),
        }[sort]()
        if len(made) <= 11 and not any(
            made.lower() in other.lower() or other.lower() in made.lower() for other in found
        ):
            found.append(made)
    return found


def sample_values(rng: np.random.Generator, number: int, kind: str, *, printed: bool) -> tuple[list[int], int]:
    """Return values that differ clearly, and the step between gridlines (on which they lie unless printed)."""
    if kind == "pie":
        while True:
            parts = rng.dirichlet(np.ones(number) * 3)
            shares = [int(v) for v in np.round(parts * 100)]
            if sum(shares) == 100 and min(shares) >= 6 and len(set(shares)) == number:
                return shares, 0
    steps = int(rng.integers(4, 8))
    step = pick(rng, (1, 2, 5, 10, 20, 25, 50, 100, 200, 500))
    if not printed:
        values = rng.permutation(np.arange(1, steps + 1))
        extra = rng.integers(1, steps + 1, max(0, number - steps))
        chosen = np.concatenate([values, extra])[:number]
        return [int(v) * step for v in rng.permutation(chosen)], step
    top = steps * step
    while True:
        raw = [int(v) for v in rng.integers(max(1, top // 12), top + 1, number)]
        order = sorted(raw)
        apart = min(order[-1] - order[-2], order[1] - order[0]) >= top * 0.04
        if top < 3 * number or (len(set(raw)) == number and apart):
            return raw, step


def shortened(labels: list[str], look: Look, type_: Type, em: float, size: tuple[int, int]) -> list[str]:
    """Leave out labels from the end until those that stand side by side do not touch."""
    if look.kind in ("rows", "pie", "ring"):
        return labels
    face = type_.at(em)
    while len(labels) > 2:
        widest = max(face.width(label) for label in labels)
        if (widest + 0.7 * em) * len(labels) < size[0] * 0.82:
            break
        labels = labels[:-1]
    return labels


def write_title(
    page: Page, type_: Type, em: float, palette: Palette, rng: np.random.Generator, split: Split
) -> tuple[str, float]:
    theme = words.choose(rng, split, THEMES)
    title = pick(rng, (f"{theme} in numbers", theme, f"{theme} {rng.integers(1990, 2031)}", ""))
    if not title or rng.random() < 0.4:
        title = words.phrase(rng, split, int(rng.integers(1, 4))).capitalize()
    size = em * float(rng.uniform(1.1, 1.6))
    while type_.at(size, bold=True).width(title) > page.width * 0.92 and size > em:
        size *= 0.93
    face = type_.at(size, bold=True)
    if face.width(title) > page.width * 0.94:
        title = title.split()[0]
    align = pick(rng, ("l", "m"))
    baseline = 0.03 * page.height + face.ascent
    page.write(title, (page.width * (0.05 if align == "l" else 0.5), baseline), face, palette.ink, anchor=align)
    return title, baseline + face.descent + 0.5 * em


def sample_colours(rng: np.random.Generator, palette: Palette, number: int, *, one: bool) -> list[tuple[int, int, int]]:
    """Return a colour for each value: one for all, or hues well apart."""
    if one:
        return [palette.tint] * number
    start, turn = float(rng.uniform(0, 360)), 360 / number
    strength = float(rng.uniform(0.45, 0.9))
    found = [rgb((start + i * turn, strength, 0.62 if i % 2 else 0.88)) for i in range(number)]
    return [mix(colour, palette.ink, 0.08) for colour in found]


def metadata_of(kind: str, plot: Plot, title: str, rng: np.random.Generator, *, learnt: bool) -> list[Fact]:
    number, labels, values = len(plot.labels), plot.labels, plot.values
    more = LEARNT_RANKS if learnt else 1.0
    told = {"bar": "bar chart", "line": "line chart", "pie": "pie chart"}[kind]
    facts = [
        Fact("chart", KIND, told, f"It is a {told}.", ("chart_type", "type"), weight=0.6, seen=True),
        Fact("count", COUNT[kind], str(number), f"There are {number}.", ("count",), number, 0.8),
        Fact("chart", LABELS, ", ".join(labels), weight=0.4),
    ]
    if title:
        facts.append(Fact("chart", TITLE, title, f"The title is {title}.", ("title",), weight=0.6))
    for i in rng.permutation(number)[:3]:
        text = plot.text(int(i))
        wordings = [w.format(labels[i]) for w in VALUE]
        facts.append(Fact("chart", wordings, text, f"The value of {labels[i]} is {text}.", weight=1.4))
    for word, i in (("highest", int(np.argmax(values))), ("lowest", int(np.argmin(values)))):
        if values.count(values[i]) == 1:
            if rng.random() < 0.5:
                word = {"highest": "largest", "lowest": "smallest"}[word]
            facts.append(
                Fact(
                    "chart",
                    [w.format(word) for w in HIGHEST],
                    labels[i],
                    f"It is {labels[i]}.",
                    (f"{word}_label",),
                    weight=more,
                )
            )
        peak = [w.format(word) for w in PEAK]
        facts.append(Fact("chart", peak, plot.text(i), keys=(f"{word}_value",), weight=0.6 * more))
    for _ in range(LEARNT_COMPARED if learnt else 1):
        a, b = (int(i) for i in rng.permutation(number)[:2])
        if values[a] != values[b]:
            wordings = [w.format(labels[a], labels[b]) for w in MORE]
            facts.append(Fact("yes/no", wordings, "yes" if values[a] > values[b] else "no"))
    if number <= 6:
        data = [{"label": label, "value": plot.text(i) if plot.unit else values[i]} for i, label in enumerate(labels)]
        facts.append(Fact("json", AS_JSON, "", value={"data": data}, weight=0.7))
    return facts
