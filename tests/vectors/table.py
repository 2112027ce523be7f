"""Writes `docs/test-vectors.md` from `vectors.json`: `PYTHONPATH=tests python -m vectors.table`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "images"
PAGE = Path(__file__).parents[2] / "docs" / "test-vectors.md"
_INTRODUCTION = """\
# Test vectors

What {count} small pictures must look like to a model, whatever the engine. Generated from
[`vectors.json`](../tests/vectors/images/vectors.json) by `tests/vectors/table.py`; how to use them against any
server: [README](../tests/vectors/images/README.md). `make test` decodes each one, compares the pixels, and sends it
to a running service whose receipt must say the same.

*Tolerance*: how far a channel may be off, on average and at one pixel, of 255. *Receipt*: what the answer says was
done, beside `resized`.

| file | shows | seen as | tolerance | receipt |
|---|---|---|---|---|
"""


def read() -> list[dict[str, Any]]:
    """The entries of `vectors.json`."""
    entries: list[dict[str, Any]] = json.loads((FOLDER / "vectors.json").read_text(encoding="utf-8"))["vectors"]
    return entries


def page() -> str:
    """The whole page."""
    entries = read()
    return _INTRODUCTION.format(count=len(entries)) + "".join(map(_row, entries))


def _row(entry: dict[str, Any]) -> str:
    file = f"[{entry['file']}](../tests/vectors/images/{entry['file']})"
    expected = f"[{entry['width']} × {entry['height']}](../tests/vectors/images/{entry['expected']})"
    tolerance = f"{entry['tolerance']['mean']:g} / {entry['tolerance']['max']}"
    return f"| {file} | {entry['shows']} | {expected} | {tolerance} | {', '.join(entry['actions']) or '–'} |\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
