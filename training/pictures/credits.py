"""Who made what pictures are drawn with: the table of docs/training-data.md, from the tables that drawing uses.

`python -m pictures.credits` prints it.
"""

from __future__ import annotations

from pictures.fonts import FAMILIES
from pictures.symbols import (
    DEJAVU,
    DEJAVU_LICENCE,
    DEJAVU_PACKAGE,
    EMOJI,
    EMOJI_LICENCE,
    EMOJI_PACKAGE,
    ICON_SETS,
    ICONS,
)


def face_table() -> str:
    """Return the faces by package, as Markdown."""
    rows: dict[tuple[str, str, str], list[str]] = {}
    for family in FAMILIES:
        rows.setdefault((family.split, family.package, family.licence), []).extend(family.files)
    order = sorted(rows.items(), key=lambda row: (["train", "watch", "eval"].index(row[0][0]), row[0][1]))
    lines = ["| split | Debian package | licence | faces |", "|---|---|---|---|"]
    lines += [
        f"| {split} | `{package}` | {licence} | {', '.join(files)} |" for (split, package, licence), files in order
    ]
    return "\n".join(lines)


def symbol_table() -> str:
    """Return the sources of pictograms, as Markdown."""
    lines = ["| split | Debian package | licence | pictograms |", "|---|---|---|---|"]
    lines.append(f"| all | `{EMOJI_PACKAGE}` | {EMOJI_LICENCE} | {len(EMOJI)} emoji |")
    lines.append(f"| train | `{DEJAVU_PACKAGE}` | {DEJAVU_LICENCE} | {len(DEJAVU)} signs |")
    for place, icons in enumerate(ICON_SETS):
        number = sum(columns[place] != "-" for columns in ICONS.values())
        lines.append(f"| {icons.split} | `{icons.package}` | {icons.licence} | {number} icons |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(face_table() + "\n\n" + symbol_table())
