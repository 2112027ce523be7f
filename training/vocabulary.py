"""Make the tokenizer: run this once before training; it writes runs/tokenizer/."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from phrasing import SYSTEM
from samples import Mix, sample
from tokenizer import train_tokenizer
from views import CROPS, WHOLE

SAMPLES = 5000


def texts(samples: int, mix: Mix) -> Iterator[str]:
    """Yield what the model will read and write."""
    for _ in range(max(1, samples // 100)):
        yield from SYSTEM
        yield WHOLE + CROPS
        yield "user model"
    for index in range(samples):
        for turn in sample("train", index, 999, mix).turns:
            yield turn.question
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
