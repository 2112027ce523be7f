"""Make the tokenizer: run this once before training; it writes runs/tokenizer/."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from drawing import rng_for
from phrasing import SYSTEM
from talks import sample_talk
from tokenizer import train_tokenizer

SAMPLES = 4000


def texts() -> Iterator[str]:
    """Yield what the model will read and write."""
    yield from SYSTEM
    for index in range(SAMPLES):
        for turn in sample_talk(rng_for("train", index, seed=999)).turns:
            yield turn.question
            yield turn.answer


def main() -> None:
    train_tokenizer(texts()).save_pretrained(Path(__file__).parent / "runs" / "tokenizer")


if __name__ == "__main__":
    main()
