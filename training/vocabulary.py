"""Make the tokenizer: run this once before training; it writes runs/tokenizer/."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

from judge import LOOSE
from phrasing import SYSTEM
from samples import Mix, sample
from tokenizer import train_tokenizer
from views import CROPS, WHOLE

SAMPLES = 4000
OURS = LOOSE | {"count", "unknown", "aside"}
"""Skills whose answers are made of our words. What is read off a picture is to be spelled, else the words of the
pictures that train would be pieces, and those of all other pictures would not."""
QUOTED = re.compile(r"[\"“'‘][^\"”'’]*[\"”'’]")


def texts(samples: int, mix: Mix) -> Iterator[str]:
    """Yield what the model is asked, but for what is quoted from a picture, and what it answers in our words."""
    for _ in range(max(1, samples // 100)):
        yield from SYSTEM
        yield WHOLE + CROPS
        yield "user model"
    for index in range(samples):
        for turn in sample("train", index, 999, mix).turns:
            yield QUOTED.sub("", turn.question)
            if turn.skill in OURS and turn.form != "json":
                yield turn.answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path(__file__).parent / "runs")
    parser.add_argument("--samples", type=int, default=SAMPLES)
    options = parser.parse_args()
    mix = Mix(side=56, grid=4)  # Only words are looked at here, so the scenes are drawn small.
    tokenizer = train_tokenizer(texts(options.samples, mix))
    tokenizer.save_pretrained(options.runs / "tokenizer")
    print(f"{len(tokenizer)} pieces")


if __name__ == "__main__":
    main()
