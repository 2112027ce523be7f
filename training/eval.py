"""How well the shipped model answers: `python training/eval.py` prints the table and fails below the thresholds.

In: the shipped OpenVINO folder and a seed. Out: a table by skill, with the number asked and 95 % intervals; exit
status 1 if a skill that has a threshold is below it. Every picture is drawn for one question, at its own size, from
seeds that training never uses, squashed as the server does, and asked as a first turn through OpenVINO GenAI.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
from drawing import draw, resize, rng_for, wear
from facts import Fact, ask_colour, ask_count, ask_height, ask_shape, ask_side, ask_what_end, pick
from judge import is_right, wilson
from pairs import PAIR_ASKERS, sample_pair
from phrasing import SYSTEM, Turn, phrase, phrase_record
from portraits import ask_describe, ask_exists, ask_larger, ask_where, record
from scenes import Scene, sample_scene
from served import Ask, Served
from talks import choose

FOLDER = Path(__file__).parent.parent / "src" / "sightline" / "bundled" / "peek-10m"
SMALLEST_PX, LARGEST_PX = 160, 480
Question = tuple[Ask, Turn]
Maker = Callable[[np.random.Generator], tuple[tuple[Scene, ...], Turn]]


def about_one(*askers: Callable[[Scene, np.random.Generator], Fact | None]) -> Maker:
    """Return a maker of questions about one picture, drawn again until the question has a clear answer."""

    def make(rng: np.random.Generator) -> tuple[tuple[Scene, ...], Turn]:
        while True:
            scene = sample_scene(rng)
            fact = askers[int(rng.integers(len(askers)))](scene, rng)
            if fact is not None:
                return (scene,), phrase(fact, rng)

    return make


def about_two(rng: np.random.Generator) -> tuple[tuple[Scene, ...], Turn]:
    pair = sample_pair(rng)
    weights = np.array([weight for _, weight in PAIR_ASKERS])
    return pair, phrase(choose(pair, [asker for asker, _ in PAIR_ASKERS], weights, rng), rng)


def as_record(rng: np.random.Generator) -> tuple[tuple[Scene, ...], Turn]:
    while True:
        scene = sample_scene(rng)
        pairs = record(scene, rng) if scene.things else None
        if pairs is not None:
            return (scene,), phrase_record(pairs, rng)


def left_or_right(scene: Scene, rng: np.random.Generator) -> Fact | None:
    fact = (ask_side if rng.random() < 0.7 else ask_what_end)(scene, rng)
    return fact if fact is not None and fact.skill == "left/right" else None


# Skill, how it is asked, share of the pictures asked for, least share right.
SKILLS: list[tuple[str, Maker, float, float | None]] = [
    ("colour", about_one(ask_colour), 1.0, 0.97),
    ("shape", about_one(ask_shape), 1.0, 0.97),
    ("left/right", about_one(left_or_right), 1.0, 0.97),
    ("count", about_one(ask_count), 1.0, 0.90),
    ("above/below", about_one(ask_height), 0.2, None),
    ("describe", about_one(ask_describe), 0.2, None),
    ("is there", about_one(ask_exists), 0.2, None),
    ("where", about_one(ask_where), 0.2, None),
    ("larger", about_one(ask_larger), 0.2, None),
    ("two pictures", about_two, 0.3, None),
    ("json record", as_record, 0.3, None),
]


def questions(skill: int, pictures: int, *, side: int, seed: int) -> list[Question]:
    """Return the questions of one skill, each with pictures of its own."""
    made = []
    for index in range(pictures):
        rng = rng_for("eval", index, seed * 1000 + skill)
        scenes, turn = SKILLS[skill][1](rng)
        drawn = []
        for scene in scenes:
            height = int(rng.integers(SMALLEST_PX, LARGEST_PX))
            drawn.append(resize(wear(draw(scene, round(height * scene.aspect), height), rng), side))
        system = pick(rng, SYSTEM) if rng.random() < 0.5 else ""
        layout = "before" if rng.random() < 0.5 else "after"
        schema = json.dumps(schema_of(json.loads(turn.answer))) if "json" in turn.form else None
        made.append((Ask(tuple(drawn), turn.question, system, layout, schema), turn))
    return made


def schema_of(value: object) -> dict[str, object]:
    """Return the JSON schema a caller would send for a value of this form."""
    if isinstance(value, dict):
        inner = {key: schema_of(item) for key, item in value.items()}
        return {"type": "object", "properties": inner, "required": list(value), "additionalProperties": False}
    if isinstance(value, list):
        return {"type": "array", "items": schema_of(value[0]) if value else {}}
    if isinstance(value, bool):
        return {"type": "boolean"}
    return {"type": "integer"} if isinstance(value, int) else {"type": "string"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--pictures", type=int, default=500, help="for each of the four main skills")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--wrong", type=int, default=0, help="print so many wrong answers a skill")
    options = parser.parse_args()
    started = time.monotonic()
    served = Served(options.folder)
    side = json.loads((options.folder / "config.json").read_text())["vision_config"]["image_size"]
    failed, forms = [], defaultdict(list)
    print(f"{'skill':<14}{'right':>7}{'asked':>7}{'share':>9}   95 % interval    needed")
    for number, (name, _, share, least) in enumerate(SKILLS):
        asked = questions(number, max(1, round(share * options.pictures)), side=side, seed=options.seed)
        answers = served.answer([ask for ask, _ in asked])
        hits = [is_right(turn, answer) for (_, turn), answer in zip(asked, answers, strict=True)]
        for (_, turn), hit in zip(asked, hits, strict=True):
            forms[turn.form].append(hit)
        print(line(name, hits, least))
        misses = [(turn, answer) for (_, turn), answer, hit in zip(asked, answers, hits, strict=True) if not hit]
        for turn, answer in misses[: options.wrong]:
            print(f"    {turn.question!r}: expected {turn.answer!r}, said {answer!r}")
        if least is not None and np.mean(hits) < least:
            failed.append(name)
    print("by form of answer")
    for form, hits in sorted(forms.items()):
        print(line(form, hits, None))
    print(f"seed {options.seed}, {time.monotonic() - started:.0f} s, judged strictly: the whole answer must be right")
    if failed:
        sys.exit(f"below what is needed: {', '.join(failed)}")


def line(name: str, hits: list[bool], least: float | None) -> str:
    low, high = wilson(sum(hits), len(hits))
    needed = f"{least:>9.0%}" if least is not None else ""
    return f"{name:<14}{sum(hits):>7}{len(hits):>7}{np.mean(hits):>9.1%}   {low:.1%} to {high:.1%}{needed:>10}"


if __name__ == "__main__":
    main()
