"""One test vector, as it is made and as `vectors.json` tells it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vectors.scenes import Array

LICENCE = "CC0-1.0"
SOURCE = "tests/vectors/make.py"


@dataclass(frozen=True, slots=True, eq=False)
class Vector:
    """A file, what it shows, and the pixels a person sees: `expected`, (height, width, 3).

    `reference` names the PNG of those pixels, which several vectors may share. `mean` and `largest` are how far a
    channel may be off, over the picture and at one pixel. `actions` are the receipt's words, without `resized`.
    """

    name: str
    kind: str
    data: bytes
    expected: Array
    reference: str
    shows: str
    mean: float = 0.0
    largest: int = 0
    actions: tuple[str, ...] = ()
    declared: str = ""

    @property
    def file(self) -> str:
        """The file's name."""
        return f"{self.name}.{'jpg' if self.kind == 'jpeg' else self.kind}"

    def describe(self) -> dict[str, Any]:
        """The entry of `vectors.json`."""
        height, width, _ = self.expected.shape
        return {
            "name": self.name,
            "file": self.file,
            "shows": self.shows,
            "type": f"image/{self.kind}",
            "declared_type": self.declared or f"image/{self.kind}",
            "bytes": len(self.data),
            "width": width,
            "height": height,
            "expected": f"expected/{self.reference}.png",
            "tolerance": {"mean": self.mean, "max": self.largest},
            "actions": list(self.actions),
            "source": SOURCE,
            "licence": LICENCE,
        }
