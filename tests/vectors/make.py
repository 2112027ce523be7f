"""Writes the test vectors: `PYTHONPATH=tests python -m vectors.make` from the root of the repository.

The same script on the same versions of the image libraries writes the same bytes; what is committed counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from vectors import colours, forms
from vectors.containers import RGB, png
from vectors.vector import Vector

FOLDER = Path(__file__).parent / "images"


def vectors() -> Iterator[Vector]:
    """Every vector, in the order of the table."""
    for family in (
        forms.orientations,
        colours.transparent,
        colours.keyed,
        colours.depths,
        colours.cmyk,
        colours.profiles,
        colours.gamma,
        forms.codings,
        forms.animations,
        forms.sizes,
        forms.labels,
    ):
        yield from family()


def write(folder: Path) -> None:
    """Write files, expected pixels and `vectors.json`."""
    made = list(vectors())
    (folder / "expected").mkdir(parents=True, exist_ok=True)
    references: dict[str, bytes] = {}
    for vector in made:
        (folder / vector.file).write_bytes(vector.data)
        reference = png(vector.expected, RGB)
        if references.setdefault(vector.reference, reference) != reference:
            raise ValueError(f"{vector.file} is not what other vectors call {vector.reference}")
    for name, reference in references.items():
        (folder / "expected" / f"{name}.png").write_bytes(reference)
    entries = [vector.describe() for vector in made]
    text = json.dumps({"version": 1, "vectors": entries}, indent=1, ensure_ascii=False)
    (folder / "vectors.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(FOLDER)
