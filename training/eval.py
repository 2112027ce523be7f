"""How well the shipped model answers: `python training/eval.py` prints the table and fails below the thresholds.

In: the shipped OpenVINO folder and a seed. Out: a table by skill, with the number asked, 95 % intervals and what is
needed; exit status 1 if a skill that has a threshold is below it; with `--report` docs/bundled-model.md, with pictures
of right and wrong answers. Asked as first turns through OpenVINO GenAI, greedy; JSON is held by the service's grammar.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from exam import Mark, examine, items, original, skill_of, transcriber
from judge import declines, parsed, wilson
from rich.console import Console
from rich.progress import Progress
from samples import SCENES, Mix
from served import Served

ROOT = Path(__file__).parent.parent
BUNDLED = ROOT / "src" / "sightline" / "bundled"
NEWEST_FIRST = ("peek-28m", "peek-12m")
EXAMPLES = 6


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: which marks it counts, which of these are good, the least share (or the most, if so)."""

    name: str
    counts: Callable[[Mark], bool]
    good: Callable[[Mark], bool]
    least: float
    is_most: bool = False


def by_skill(name: str, least: float, *skills: str) -> Row:
    return Row(name, lambda mark: skill_of(mark.item.turn) in skills, lambda mark: mark.right, least)


def is_known(mark: Mark) -> bool:
    return mark.item.turn.skill != "unknown" and "json" not in mark.item.turn.form


NEEDED = (
    by_skill("words and numbers", 0.90, "word", "number", "date", "amount", "block"),
    by_skill("fields", 0.80, "field"),
    by_skill("charts", 0.75, "chart"),
    by_skill("counts to nine", 0.90, "count"),
    by_skill("shapes, colours, positions", 0.98, "shape", "colour", "position", "left/right", "above/below"),
    by_skill("yes or no", 0.95, "yes/no", "is there"),
    Row("JSON is valid", lambda mark: "json" in mark.item.turn.form, lambda mark: parsed(mark.answer) is not None, 1.0),
    by_skill("JSON is right", 0.80, "json"),
    by_skill("unknown declined", 0.90, "unknown"),
    Row("known declined", is_known, lambda mark: declines(mark.answer), 0.03, is_most=True),
)


def line(row: Row, marks: Sequence[Mark]) -> tuple[list[str], bool]:
    """Return a row's cells and whether it is good enough; nothing asked is good enough."""
    counted = [mark for mark in marks if row.counts(mark)]
    if not counted:
        return [], True
    good = sum(row.good(mark) for mark in counted)
    share = good / len(counted)
    low, high = wilson(good, len(counted))
    beside = [mark.transcribed for mark in counted if mark.transcribed is not None]
    needed = f"{'at most' if row.is_most else 'at least'} {row.least:.0%}" if row.least else ""
    enough = share <= row.least if row.is_most else share >= row.least
    compared = f"{sum(beside) / len(beside):.1%} of {len(beside)}" if beside else ""
    cells = [row.name, f"{good}", f"{len(counted)}", f"{share:.1%}", f"{low:.1%} to {high:.1%}", needed, compared]
    return cells, enough


def table(marks: Sequence[Mark]) -> tuple[list[list[str]], list[list[str]], list[str]]:
    """Return the rows that have thresholds, the rows by skill, and the names of those below."""
    found = [(row.name, *line(row, marks)) for row in NEEDED]
    skills = sorted({skill_of(mark.item.turn) for mark in marks})
    single = [line(by_skill(skill, 0.0, skill), marks)[0] for skill in skills]
    below = [name for name, cells, enough in found if cells and not enough]
    return [cells for _, cells, _ in found if cells], single, below


HEAD = ["skill", "right", "asked", "share", "95 % interval", "needed", "transcriber"]


def show(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[i]) for row in [HEAD, *rows]) for i in range(len(HEAD))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def report(path: Path, model: Path, marks: Sequence[Mark], *, asked: int, pictures: int, seed: int, mix: Mix) -> None:
    """Write the tables and examples as Markdown, the pictures beside it."""
    needed, single, below = table(marks)
    card = json.loads((model / "sightline.json").read_text())
    size = sum(file.stat().st_size for file in model.iterdir()) / 1e6
    command = f"python training/eval.py --asked {asked} --most-pictures {pictures} --seed {seed} --report"
    text = [
        "# What the bundled model can do",
        f"`{card['id']}`, {size:.1f} MB. Written by `{command}`: pictures drawn by `training/pictures`, with faces, "
        "words and layouts that training has never seen. Greedy answers, judged strictly: the whole answer must be "
        "right. Beside it, where reading is asked for, the service's transcriber (PP-OCR): whether its text of the "
        "same picture has the answer in it.",
        markdown(needed),
        f"Below what is needed: {', '.join(below)}." if below else "Nothing is below what is needed.",
        "## By skill",
        markdown(single),
        *examples("Right", [mark for mark in marks if mark.right], path, seed=seed, mix=mix),
        *examples("Wrong", [mark for mark in marks if not mark.right], path, seed=seed, mix=mix),
    ]
    path.write_text("\n\n".join(text) + "\n")


def markdown(rows: Sequence[Sequence[str]]) -> str:
    lines = [HEAD, ["---"] * len(HEAD), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def examples(title: str, marks: Sequence[Mark], path: Path, *, seed: int, mix: Mix) -> list[str]:
    """Return Markdown of a few marks of different skills and pictures, and save the pictures."""
    chosen: dict[str, Mark] = {}
    for mark in marks:
        shown = {other.item.index for other in chosen.values()}
        if len(mark.item.ask.images) == 1 and mark.item.index not in shown:
            chosen.setdefault(skill_of(mark.item.turn), mark)
    folder = path.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    text = [f"## {title}"]
    for number, mark in enumerate(list(chosen.values())[:EXAMPLES], 1):
        name = f"{title.lower()}-{number}.webp"
        image = original(mark.item, seed=seed, mix=mix)
        image.thumbnail((448, 448))
        image.save(folder / name, quality=70)
        expected = "" if mark.right else f" Expected: `{in_line(mark.item.turn.answer)}`."
        question = in_line(mark.item.turn.question)
        text += [f"![{mark.item.kind}]({folder.name}/{name})", f"“{question}” → `{in_line(mark.answer)}`.{expected}"]
    return text


def in_line(text: str) -> str:
    return text.replace("\n", " ⏎ ").replace("`", "'")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    newest = next(BUNDLED / name for name in NEWEST_FIRST if (BUNDLED / name / "config.json").exists())
    parser.add_argument("--folder", type=Path, default=newest)
    parser.add_argument("--asked", type=int, default=200, help="questions for each skill")
    parser.add_argument("--most-pictures", type=int, default=4000)
    parser.add_argument("--kinds", nargs="*", default=[], help="kinds of pictures as name=weight; default: all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--wrong", type=int, default=0, help="print so many wrong answers")
    parser.add_argument("--transcriber", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--report", type=Path, nargs="?", const=ROOT / "docs" / "bundled-model.md")
    options = parser.parse_args()
    started = time.monotonic()
    config = json.loads((options.folder / "config.json").read_text())["vision_config"]
    kinds = {name: float(weight) for name, _, weight in (part.partition("=") for part in options.kinds)}
    processor = json.loads((options.folder / "preprocessor_config.json").read_text())
    closer = any(name.startswith("pan_and_scan_") for name in processor)
    mix = Mix(config["image_size"], config["image_size"] // config["patch_size"], kinds or None, letters=closer)
    card = json.loads((options.folder / "sightline.json").read_text())
    characters = int(card.get("ocr_max_chars", 0))
    reads = transcriber() if characters or (options.transcriber and set(kinds) != {SCENES}) else None
    beside = reads if options.transcriber and set(kinds) != {SCENES} else None
    with Progress(console=Console(stderr=True), transient=True) as progress:
        drawing = progress.add_task("drawing pictures", total=options.most_pictures)
        asked = items(
            mix,
            asked=options.asked,
            seed=options.seed,
            most_pictures=options.most_pictures,
            transcribe=reads,
            characters=characters,
            again=card.get("prompt_repetition", False),
            drew=lambda: progress.advance(drawing),
        )
        progress.update(drawing, visible=False)
        marked = examine(Served(options.folder), asked, seed=options.seed, mix=mix, transcribe=beside)
        marks = list(progress.track(marked, total=len(asked), description="asking"))
    needed, single, below = table(marks)
    print(show([HEAD, *needed, [""] * len(HEAD), *single]))
    for mark in [mark for mark in marks if not mark.right][: options.wrong]:
        print(f"    {mark.item.turn.question!r}: expected {mark.item.turn.answer!r}, said {mark.answer!r}")
    print(f"seed {options.seed}, {time.monotonic() - started:.0f} s, judged strictly: the whole answer must be right")
    if options.report:
        counts = {"asked": options.asked, "pictures": options.most_pictures, "seed": options.seed}
        report(options.report, options.folder, marks, **counts, mix=mix)
    if below:
        sys.exit(f"below what is needed: {', '.join(below)}")


if __name__ == "__main__":
    main()
