"""No file over 400 lines: what has grown past that has more than one purpose."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
FILES = [
    file
    for folder in ("src", "tests", "training", "bench", "examples")
    for file in sorted((ROOT / folder).rglob("*.py"))
    if "site-packages" not in file.parts and not any(part.startswith(".") for part in file.relative_to(ROOT).parts)
]
VAGUE = {"utils", "util", "helpers", "common", "manager", "misc"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_file_is_no_longer_than_400_lines(file: Path) -> None:
    lines = len(file.read_text(encoding="utf-8").splitlines())

    assert lines <= 400 or file.name == "__init__.py"


def test_no_file_or_folder_has_a_name_for_anything() -> None:
    names = {part for file in FILES for part in file.relative_to(ROOT).with_suffix("").parts}

    assert not names & VAGUE
