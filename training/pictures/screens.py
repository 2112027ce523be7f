"""Screens: dialogues with buttons, log-in masks, settings with switches, chats, lists of mail, error messages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pictures import lexicon, words
from pictures.asking import Fact, ask
from pictures.base import Picture, Split, pick, split_of
from pictures.fields import absent
from pictures.layout import BOXES, Type, pick_type
from pictures.lines import least_size, sheet_size
from pictures.page import Box, Mark, Page
from pictures.palette import Palette, mix, pick_palette
from pictures.screen_talk import (
    BUTTONS,
    ENDINGS,
    ERROR,
    FAILURES,
    FIELD,
    HOW_MANY_ON,
    IS_BUTTON,
    IS_ON,
    LIST,
    MAIN_BUTTON,
    MENU,
    MENU_AT,
    MESSAGE,
    NOUNS,
    ORDINALS,
    SELECTED,
    SETTINGS,
    TITLE,
    VERBS,
    WARNINGS,
    WHAT_SAID,
    WHICH_BUTTONS,
    WHO_SAID,
)
from pictures.wear import finish


@dataclass(slots=True)
class Screen:
    """What is at hand while a screen is drawn; `y` goes down as things are added."""

    page: Page
    type_: Type
    em: float
    palette: Palette
    room: Box
    y: float
    facts: list[Fact]
    bar: str
    round: float

    def write(self, text: str, x: float, *, bold: bool = False, tone: str = "ink", anchor: str = "l") -> Box:
        face = self.type_.at(self.em, bold=bold)
        return self.page.write(text, (x, self.y + face.ascent), face, getattr(self.palette, tone), anchor=anchor)

    def fits(self, text: str, share: float = 0.94) -> bool:
        return self.type_.at(self.em).width(text) <= (self.room[2] - self.room[0]) * share


def draw_screen(rng: np.random.Generator, split: Split) -> Picture:
    while True:
        body, bar, corner = (
            pick(rng, tuple(BODIES)),
            pick(rng, ("colour", "plain", "none", "dots")),
            int(rng.integers(3)),
        )
        if split_of(f"screen-{body}-{bar}-{corner}") == split:
            break
    size = sheet_size(rng, narrow=0.6, wide=1.7, large=0.15)
    palette = pick_palette(rng, split, dark=0.35)
    page = Page(size, mix(palette.accent, palette.paper, float(rng.uniform(0.3, 0.9))))
    type_ = pick_type(rng, split, "sans", "sans", "sans", "sans", "mono")
    em = float(least_size(size)) * float(rng.uniform(1.0, 1.9))
    inset = (0.0, 0.0, 0.0, 0.0) if rng.random() < 0.4 else tuple(rng.uniform(0.01, 0.08, 4))
    box = (size[0] * inset[0], size[1] * inset[1], size[0] * (1 - inset[2]), size[1] * (1 - inset[3]))
    screen = open_window(page, type_, em, palette, box, bar, corner * 0.35, rng, split)
    BODIES[body](screen, rng, split)
    image, glyphs = finish(page, rng, strength=0.6, tilt=0.6)
    lacking = absent(["invoice", "birth", "phone", "seat", "tip"])
    return Picture("screen", (image,), (glyphs,), ask(rng, split, screen.facts, lacking, what="a screen"))


def open_window(
    page: Page,
    type_: Type,
    em: float,
    palette: Palette,
    box: Box,
    bar: str,
    corner: float,
    rng: np.random.Generator,
    split: Split,
) -> Screen:
    """Draw the window and its title bar."""
    page.fill(box, palette.paper, radius=corner * em)
    page.frame(box, palette.muted, line=max(1, round(em / 16)), radius=corner * em)
    room = (box[0] + 0.9 * em, box[1], box[2] - 0.9 * em, box[3] - 0.6 * em)
    screen = Screen(page, type_, em, palette, room, box[1] + 0.5 * em, [], bar, corner)
    if bar == "none":
        return screen
    high = 1.9 * em
    if bar == "colour":
        page.fill((box[0], box[1], box[2], box[1] + high), palette.accent)
    title = " ".join(word.capitalize() for word in words.phrase(rng, split, int(rng.integers(1, 3))).split())
    x = room[0] + (2.6 * em if bar == "dots" else 0)
    if bar == "dots":
        for i, colour in enumerate(((235, 90, 80), (240, 190, 60), (90, 190, 90))):
            left = room[0] + i * 0.85 * em
            page.pen.ellipse((left, box[1] + 0.65 * em, left + 0.6 * em, box[1] + 1.25 * em), fill=colour)
    if type_.at(em, bold=True).width(title) > room[2] - x - 0.3 * em:
        title = title.split()[0]
    screen.y = box[1] + 0.35 * em
    screen.write(title, x, bold=True, tone="on_accent" if bar == "colour" else "ink")
    screen.facts.append(Fact("screen", TITLE, title, f"The title is {title}.", ("title", "window_title"), weight=0.7))
    screen.y = box[1] + high + 0.5 * em
    if bar != "colour":
        page.rule((box[0], box[1] + high), (box[2], box[1] + high), palette.faint)
    return screen


def add_buttons(screen: Screen, rng: np.random.Generator, names: list[str]) -> None:
    """Draw buttons in a row, one of them filled at times, and ask about them."""
    em, page, palette = screen.em, screen.page, screen.palette
    face = screen.type_.at(em)
    widths = [face.width(name) + 1.4 * em for name in names]
    while sum(widths) + 0.6 * em * len(widths) > screen.room[2] - screen.room[0]:
        names, widths = names[:-1], widths[:-1]
    main = int(rng.integers(len(names))) if rng.random() < 0.75 else -1
    right = rng.random() < 0.5
    x = screen.room[2] - sum(widths) - 0.6 * em * (len(names) - 1) if right else screen.room[0]
    screen.y = min(screen.y + em * float(rng.uniform(0.5, 1.5)), screen.room[3] - 1.9 * em)
    for i, (name, wide) in enumerate(zip(names, widths, strict=True)):
        box = (x, screen.y, x + wide, screen.y + 1.7 * em)
        if i == main:
            page.fill(box, palette.accent, radius=screen.round * em)
        else:
            page.frame(box, palette.muted, line=max(1, round(em / 14)), radius=screen.round * em)
        ink = palette.on_accent if i == main else palette.ink
        page.write(name, (x + wide / 2, screen.y + 1.2 * em), face, ink, anchor="m")
        x += wide + 0.6 * em
    screen.y += 2.2 * em
    if main >= 0 and len(names) > 1:
        told = f"It is {names[main]}."
        screen.facts.append(Fact("screen", MAIN_BUTTON, names[main], told, ("primary_button",), seen=True))
    told = ", ".join(names)
    screen.facts.append(Fact("screen", WHICH_BUTTONS, told, keys=("buttons",), value=names, weight=1.3))
    yes = bool(rng.random() < 0.5)
    asked = pick(rng, names) if yes else pick(rng, [name for name in BUTTONS if name not in names])
    screen.facts.append(Fact("yes/no", [w.format(asked) for w in IS_BUTTON], "yes" if yes else "no"))


def some_buttons(rng: np.random.Generator, number: int) -> list[str]:
    return [BUTTONS[int(i)] for i in rng.permutation(len(BUTTONS))[:number]]


def dialogue(screen: Screen, rng: np.random.Generator, split: Split) -> None:
    """A question or a failure, and buttons."""
    style, names = rng.random(), some_buttons(rng, int(rng.integers(1, 4)))
    if split == "train" and style < 0.2:
        verb = pick(rng, VERBS)
        message = f"{verb} {words.real(rng, split).lower()}.{pick(rng, ENDINGS)}? {pick(rng, WARNINGS)}".strip()
        names = [*[name for name in names if name != verb][:2], verb]
    elif style < 0.45:
        message = f"{pick(rng, VERBS)} the {pick(rng, NOUNS)} {words.word(rng, split)}?"
    elif style < 0.75:
        message = f"{words.word(rng, split).capitalize()} {pick(rng, FAILURES)}."
    else:
        message = words.sentence(rng, split, int(rng.integers(3, 6)))
    while not screen.fits(message):
        message = f"{words.word(rng, split).capitalize()} {pick(rng, FAILURES)}."
    screen.y += screen.em * float(rng.uniform(0.2, 1.5))
    screen.write(message, screen.room[0])
    screen.y += 1.5 * screen.em
    screen.facts.append(Fact("screen", MESSAGE, message, f'It says "{message}"', ("message",), weight=2))
    if rng.random() < 0.35:
        number = str(rng.integers(100, 9999))
        text = f"{pick(rng, ('Error', 'Code', 'Error code'))} {number}"
        screen.write(text, screen.room[0], tone="muted")
        screen.y += 1.5 * screen.em
        screen.facts.append(Fact("number", ERROR, number, keys=("error_code",), value=int(number)))
    add_buttons(screen, rng, names)


def log_in(screen: Screen, rng: np.random.Generator, split: Split) -> None:
    """Fields with what was typed into them."""
    fields: list[tuple[str, Callable[[], str]]]
    fields = [("email", lambda: words.address(rng, split)), ("username", lambda: words.word(rng, split).lower())]
    fields += [("city", lambda: words.town(rng, split)), ("name", lambda: words.name(rng, split))]
    fields += [("amount", lambda: str(rng.integers(1, 999))), ("date", lambda: words.date(rng, "dots"))]
    em = screen.em
    for i in rng.permutation(len(fields))[: int(rng.integers(1, 4))]:
        name, make = fields[int(i)]
        text = make()
        while not screen.fits(text, 0.85):
            text = words.word(rng, split).lower()
        if screen.y + 5.5 * em > screen.room[3] - 2 * em:
            break
        screen.write(name.capitalize(), screen.room[0], tone="muted")
        screen.y += 1.4 * em
        box = (screen.room[0], screen.y, screen.room[2], screen.y + 1.7 * em)
        screen.page.frame(box, screen.palette.muted, line=max(1, round(em / 16)), radius=screen.round * em)
        screen.y += 0.2 * em
        screen.write(text, screen.room[0] + 0.5 * em)
        screen.y += 2.0 * em
        screen.facts.append(Fact("screen", [w.format(name) for w in FIELD], text, keys=(name,), weight=1.5))
    add_buttons(screen, rng, some_buttons(rng, int(rng.integers(1, 3))))


def switches(screen: Screen, rng: np.random.Generator, split: Split) -> None:
    """Settings with a switch each, or with the word on or off."""
    em, page, palette = screen.em, screen.page, screen.palette
    number = int(rng.integers(2, 7))
    worded = rng.random() < 0.3
    shown: list[tuple[str, bool]] = []
    for i in rng.permutation(len(SETTINGS))[:number]:
        if screen.y + 1.8 * em > screen.room[3]:
            break
        name, on = SETTINGS[int(i)], bool(rng.random() < 0.5)
        shown.append((name, on))
        screen.write(name, screen.room[0])
        if worded:
            screen.write("On" if on else "Off", screen.room[2], tone="tint" if on else "muted", anchor="r")
        else:
            right, top = screen.room[2], screen.y + 0.15 * em
            fill = palette.accent if on else palette.faint
            page.fill((right - 1.8 * em, top, right, top + em), fill, radius=0.5 * em)
            x = right - 0.5 * em if on else right - 1.3 * em
            knob = (x - 0.36 * em, top + 0.14 * em, x + 0.36 * em, top + 0.86 * em)
            page.pen.ellipse(knob, fill=(255, 255, 255))
            sign = BOXES["ticked" if on else "open"]
            page.marks.append(Mark(sign, right - 1.8 * em, top, right, top + em))
        screen.y += 1.9 * em
    for name, on in shown[:2]:
        key = name.lower().replace(" ", "_").replace("-", "_")
        asked = [w.format(name) for w in IS_ON]
        screen.facts.append(Fact("yes/no", asked, "yes" if on else "no", keys=(key,), value=on))
    count = sum(on for _, on in shown)
    screen.facts.append(Fact("count", HOW_MANY_ON, str(count), keys=("on",), value=count))
    screen.facts.append(Fact("screen", LIST, ", ".join(name for name, _ in shown), keys=("settings",)))


def chat(screen: Screen, rng: np.random.Generator, split: Split) -> None:
    """Messages in bubbles, each under the name of who wrote it."""
    em, page, palette = screen.em, screen.page, screen.palette
    names = words.of_split(lexicon.FIRST, split)
    order = [names[int(i)] for i in rng.permutation(len(names))]
    for i in range(int(rng.integers(2, 5))):
        text = words.sentence(rng, split, int(rng.integers(1, 5)))
        if screen.y + 3.4 * em > screen.room[3]:
            break
        if not screen.fits(text, 0.8):
            text = f"{words.choose(rng, split, lexicon.COMMON).capitalize()}!"
        wide = screen.type_.at(em).width(text) + em
        left = screen.room[0] if i % 2 == 0 else screen.room[2] - wide
        own = i % 2 == 1
        screen.write(order[i], screen.room[0] if not own else screen.room[2], tone="muted", anchor="r" if own else "l")
        screen.y += 1.3 * em
        fill = palette.accent if own else palette.soft
        page.fill((left, screen.y, left + wide, screen.y + 1.7 * em), fill, radius=0.5 * em)
        screen.y += 0.2 * em
        screen.write(text, left + 0.5 * em, tone="on_accent" if own else "ink")
        screen.y += 1.8 * em
        screen.facts.append(Fact("screen", [w.format(text) for w in WHO_SAID], order[i], f"{order[i]} wrote it."))
        screen.facts.append(Fact("screen", [w.format(order[i]) for w in WHAT_SAID], text))


def menu(screen: Screen, rng: np.random.Generator, split: Split) -> None:
    """A menu down the side, one entry of it selected."""
    em, page, palette = screen.em, screen.page, screen.palette
    names = [MENU[int(i)] for i in rng.permutation(len(MENU))[: int(rng.integers(3, 7))]]
    chosen = int(rng.integers(len(names)))
    wide = max(screen.type_.at(em).width(name) for name in names) + 1.2 * em
    shown = []
    for i, name in enumerate(names):
        if screen.y + 1.7 * em > screen.room[3]:
            break
        shown.append(name)
        if i == chosen:
            box = (screen.room[0] - 0.4 * em, screen.y, screen.room[0] + wide, screen.y + 1.6 * em)
            page.fill(box, palette.accent, radius=screen.round * em)
        screen.y += 0.15 * em
        screen.write(name, screen.room[0], tone="on_accent" if i == chosen else "ink")
        screen.y += 1.7 * em
    if chosen < len(shown):
        screen.facts.append(
            Fact("screen", SELECTED, shown[chosen], f"{shown[chosen]} is selected.", ("selected",), weight=2, seen=True)
        )
    for i in rng.permutation(len(shown))[:2]:
        screen.facts.append(Fact("screen", [w.format(ORDINALS[int(i)]) for w in MENU_AT], shown[int(i)]))
    listed = [w.replace("settings", "menu entries").replace("options", "menu entries") for w in LIST[:3]]
    screen.facts.append(Fact("screen", listed, ", ".join(shown), keys=("menu",), value=shown))
    count = len(shown)
    screen.facts.append(Fact("count", ["How many menu entries are there?", "Count the entries."], str(count)))


Body = Callable[[Screen, np.random.Generator, Split], None]
BODIES: dict[str, Body] = {
    "dialogue": dialogue,
    "log-in": log_in,
    "switches": switches,
    "chat": chat,
    "menu": menu,
}
