"""Drawn pictures → samples: what is seen, what its patches show, what is asked, in which layout.

In: a split and an index. Out: a `Sample`. Two sources: `pictures.draw` (text, forms, charts, screens and more), and
the scenes of shapes beside it (scenes.py, talks.py), whose patches are labelled with shapes too. Of each picture the
text is told as well, as the service's transcriber reads it for the model (reading.py). Knows no tokens.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pictures
from drawing import PatchLabels, draw_worn, label_patches, label_pictograms, rng_for
from labels import Characters, label_characters
from phrasing import SYSTEM, UNKNOWN, Turn
from PIL import Image
from reading import junk, read
from scenes import Scene
from talks import sample_talk
from views import Box, Pixels, crop_boxes, see

SCENES = "scenes"
"""The name under which the scenes of shapes stand among the kinds of pictures."""
SCENE_SHARE = 0.15
CLOSER_SHARE = 0.35
"""Share of the pictures that are not square that are seen with closer views."""
NUMBER = re.compile(r"[-−]?[\d.,]+[%kM]?")
TICKS = re.compile(r"^(?:[-−]?[\d.,]+[%kM]?(?:\t.*)?\n){3}", re.MULTILINE)
"""Lines of numbers one over another: an axis, beside which values have to be seen unless they are printed, too."""
PRINTED = re.compile(r"(?:^[^\t\n]+\t~?[-−]?[\d.,]+[%kM]?(?:\n|$)){3}", re.MULTILINE)
"""Labels, each with its value, printed or measured."""
KEY = re.compile(r'"((?:[^"\\]|\\.)*)"(?=: )')
SAYS_UNKNOWN = re.compile(r'(?<=: )"(?=unknown")')
READ = {
    "lines": 2.5,
    "block": 2.6,
    "receipt": 1.9,
    "invoice": 1.8,
    "form": 2.5,
    "ticket": 1.4,
    "card": 1.0,
    "table": 3.0,
    "chart": 10.0,
    "screen": 1.2,
    "sign": 1.5,
    "display": 0.8,
    "large": 3.0,
}
"""Kinds whose text alone answers what is asked, nearly always, with how often each is learnt from it alone."""
GLANCED = {"scenes": 2.0, "shapes": 1.0, "crowd": 1.5, "emblems": 4.0}
"""Kinds whose patches have names, with how often each is looked at and not talked about."""
COPIED = frozenset({"word", "number", "date", "amount", "block", "field", "table", "screen"})
"""Skills whose answers stand in the text, but for yes, no and what is counted."""
LEARNT_WHOLE = frozenset({"receipt", "invoice", "form", "ticket", "card", "block", "table", "chart", "screen", "large"})
READ_OUT, MOST_READ_OUT = 0.35, 260
"""Share of the documents learnt from that are asked for their whole text, if it has no more characters."""
KIND = "kind"
"""What a document is, is not said where nothing was read: photographs of plates were called road signs."""
LEAST_COPIED = 4
LEAST_LEFT = 0.6
"""Share of an answer's signs that a text has anywhere, below which it has lost the answer."""
MOST_TALKED = 6
"""Turns of a conversation: a longer one would ask again what it was told."""
LAYOUTS = {"before": 0.6, "after": 0.22, "talk": 0.18}
LEARNT_LAYOUTS = {"before": 0.45, "after": 0.42, "talk": 0.13}
"""Where the picture follows, rows hold fewer of a sample's questions."""
LEARNT_AFTER = 0.6
"""Share of the scenes learnt from that follow their question, of those that would stand before it: which of two things
is higher was answered right in 98 % of those and in 75 % of the others."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One view: (side, side, 3) pixels, the characters of its patches, and what things they show if we know."""

    pixels: Pixels
    characters: Characters
    shapes: PatchLabels | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """Images in the order shown, each as its views (the whole first); the text read on each; questions; the system
    prompt; the layout. With a text but no image, the text is all that is told of the picture."""

    kind: str
    images: tuple[tuple[Seen, ...], ...]
    readings: tuple[str, ...]
    turns: tuple[Turn, ...]
    system: str
    layout: str


@dataclass(frozen=True, slots=True)
class Mix:
    """What is drawn: the picture's side and patches along it, and how often each kind; None: as the kinds have it.

    Where `letters` is false a view is too small for print: its patches have no characters, and no closer views are
    taken. `unseen` is the share of the samples learnt from of which the text is read alone: to see a picture costs
    two fifths of a step, and what a document says stands in its text.
    """

    side: int
    grid: int
    kinds: Mapping[str, float] | None = None
    letters: bool = True
    unseen: float = 0.0

    @property
    def scene_share(self) -> float:
        if self.kinds is None:
            return SCENE_SHARE
        return self.kinds.get(SCENES, 0.0) / sum(self.kinds.values())

    @property
    def drawn_kinds(self) -> dict[str, float] | None:
        return None if self.kinds is None else {k: v for k, v in self.kinds.items() if k != SCENES}


def sample(split: str, index: int, seed: int, mix: Mix) -> Sample:
    """Draw sample `index`."""
    rng = rng_for(split, index, seed)
    if split == "train" and mix.unseen and rng.random() < mix.unseen:
        unseen = sample(split, index, seed, replace(mix, kinds=READ, unseen=0.0))
        return read_alone(unseen) if answered_by_text(unseen) else unseen
    if rng.random() < mix.scene_share:
        scenes = sample_scenes(rng, mix)
        follows = split == "train" and scenes.layout == "before" and rng.random() < LEARNT_AFTER
        return replace(scenes, layout="after") if follows else scenes
    drawn = pictures.draw(split, index, seed, mix.drawn_kinds)
    closer = mix.letters and len(drawn.images) == 1 and rng.random() < CLOSER_SHARE
    scenes = drawn.scenes or (None,) * len(drawn.images)
    images = tuple(
        views_of(image.convert("RGB"), glyphs, mix, scene, closer=closer)
        for image, glyphs, scene in zip(drawn.images, drawn.glyphs, scenes, strict=True)
    )
    readings = tuple(
        read(glyphs, image.size, rng, drawn.values) for image, glyphs in zip(drawn.images, drawn.glyphs, strict=True)
    )
    turns = [turn_of(question) for question in drawn.questions]
    if split == "train" and not mix.letters:
        turns = told_by(readings, turns)
    if split == "train" and drawn.kind in LEARNT_WHOLE and rng.random() < READ_OUT:
        turns += [turn_of(pictures.read_out(rng, text)) for text in readings if 0 < len(text) <= MOST_READ_OUT]
    order = rng.permutation(len(turns))
    system = SYSTEM[int(rng.integers(len(SYSTEM)))] if rng.random() < 0.5 else ""
    layouts = LEARNT_LAYOUTS if split == "train" else LAYOUTS
    layout = str(rng.choice(list(layouts), p=list(layouts.values())))
    if layout == "talk":
        order = order[:MOST_TALKED]
    return Sample(drawn.kind, images, readings, tuple(turns[i] for i in order), system, layout)


def answered_by_text(sample: Sample) -> bool:
    """Say whether a sample's text answers its questions: a chart's only if its values are printed."""
    if len(sample.readings) != 1 or not sample.readings[0]:
        return False
    (text,) = sample.readings
    numbers = [t.answer for t in sample.turns if t.skill == "chart" and t.form != "json" and NUMBER.fullmatch(t.answer)]
    is_told = bool(PRINTED.search(text)) or not TICKS.search(text)
    printed = bool(numbers) and all(number in text for number in numbers) and is_told
    return sample.kind != "chart" or printed


def read_alone(sample: Sample) -> Sample:
    """Leave the image out, what is asked of it, and answers that its text does not have whole: lost or misread."""
    texts = [squeezed(text) for text in sample.readings]
    turns = [turn for turn in sample.turns if not turn.seen]
    return replace(sample, images=(), turns=tuple(turn for turn in turns if can_be_read(turn, texts)))


def told_by(readings: Sequence[str], turns: Sequence[Turn]) -> list[Turn]:
    """Leave out what was lost of a picture whose print is not seen; where nothing was read at all, that is said.

    Taught such words, a model invents them for pictures without text. What was misread by a sign or two is kept.
    """
    text = "".join(squeezed(reading) for reading in readings)
    told = []
    for turn in turns:
        signs = Counter(squeezed(turn.told or turn.answer))
        if turn.skill == KIND and not text:
            told.append(declined(turn))
        elif can_be_read(turn, [text]) or (signs & Counter(text)).total() >= LEAST_LEFT * signs.total():
            told.append(turn)
        elif not text:
            told.append(declined(turn))
    return told


def declined(turn: Turn) -> Turn:
    """Return a turn with the answer that one can't tell."""
    return replace(turn, skill="unknown", form="words", pieces=((UNKNOWN, True),), told="")


def can_be_read(turn: Turn, texts: Sequence[str]) -> bool:
    """Say whether a turn's answer stands in one of the texts, as far as it is copied from there."""
    if turn.form == "json" or turn.skill not in COPIED:
        return True
    copied = squeezed(turn.told or turn.answer)
    return len(copied) < LEAST_COPIED or turn.answer == UNKNOWN or any(copied in text for text in texts)


def squeezed(text: str) -> str:
    """Leave out blanks, which readings part words by as they like, and capitals."""
    return "".join(text.split()).lower()


def turn_of(question: pictures.Question) -> Turn:
    """Return a picture's question as a turn. Of JSON what the schema alone says is given and not taught: keys that the
    question does not name, that it is JSON, that what is missing is a string."""
    if question.schema is None:
        whole = ((question.answer, True),)
        return Turn(question.skill, "words", question.text, whole, told=question.told, seen=question.seen)
    answer, asked = question.answer, question.text
    given = [key.span() for key in KEY.finditer(answer) if key.group(1) not in asked]
    given += [quote.span() for quote in SAYS_UNKNOWN.finditer(answer)]
    if "json" not in asked.lower():
        given.append((0, 1))
    pieces, end = [], 0
    for start, stop in sorted(given):
        pieces += [(answer[end:start], True), (answer[start:stop], False)]
        end = stop
    pieces.append((answer[end:], True))
    return Turn(question.skill, "json", asked, tuple(pieces), question.schema, seen=question.seen)


def views_of(
    image: Image.Image, glyphs: tuple[pictures.Glyph, ...], mix: Mix, scene: Scene | None, *, closer: bool
) -> tuple[Seen, ...]:
    """Return the views of a picture, the whole first; that one alone says what things its patches show."""
    width, height = image.size
    printed = glyphs if mix.letters else ()
    boxes = [Box(0, 0, width, height), *(crop_boxes(width, height) if closer else [])]
    views = []
    for box in boxes:
        part = (box.left / width, box.top / height, box.width / width, box.height / height)
        things = None if views else label_things(scene, glyphs, mix.grid)
        views.append(Seen(see(image, box, mix.side), label_characters(printed, mix.grid, part=part), things))
    return tuple(views)


def label_things(scene: Scene | None, glyphs: Sequence[pictures.Glyph], grid: int) -> PatchLabels | None:
    """Return what shapes or pictograms the patches of a whole picture show; None if it was not drawn of any."""
    if scene is not None:
        return label_patches(scene, grid)
    named = [glyph for glyph in glyphs if len(glyph.character) > 1]
    return label_pictograms(named, pictures.NAMES, grid) if named else None


def glance(split: str, index: int, seed: int, mix: Mix) -> list[Seen]:
    """Draw a picture whose patches have names, to be looked at and not talked about."""
    drawn = sample(split, index, seed, replace(mix, kinds=GLANCED, unseen=0.0))
    return [views[0] for views in drawn.images if views[0].shapes is not None]


def sample_scenes(rng: np.random.Generator, mix: Mix) -> Sample:
    """Draw one or two scenes of shapes and their questions; half of the samples ask only what tells things apart."""
    talk = sample_talk(rng, focus=0.5)
    blank = np.zeros((mix.grid**2, label_characters((), 1).shape[1]), np.uint8)
    images = tuple(
        (Seen(draw_worn(scene, rng, mix.side), blank, label_patches(scene, mix.grid)),) for scene in talk.scenes
    )
    return Sample(SCENES, images, tuple(junk(rng) for _ in images), talk.turns, talk.system, talk.layout)
