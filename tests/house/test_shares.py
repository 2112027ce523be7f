"""What is said of the bundled model is what was measured: weights change, and a sentence stays."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAID = {
    "date": r"(\d+) % of dates",
    "amount": r"(\d+) % of amounts",
    "fields": r"(\d+) % of labelled fields",
    "word": r"(\d+) % of words",
    "number": r"(\d+) % of numbers",
    "charts": r"(\d+) % of questions about charts",
    "shapes, colours, positions": r"shapes, colours and positions right in (\d+) %",
    "counts to nine": r"counts right in (\d+) % of pictures",
    "yes or no": r"(\d+) % of yes-or-no questions",
    "JSON is valid": r"valid JSON in (\d+) %",
    "JSON is right": r"right in every value in (\d+) %",
    "pictogram": r"names (\d+) % of pictograms",
    "unknown declined": r"to (\d+) % of questions that a picture does not answer",
    "table": r"tables \((\d+) %\)",
}


@pytest.fixture(scope="module")
def measured() -> dict[str, float]:
    page = (ROOT / "docs" / "bundled-model.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]+) \| (\d+) \| (\d+) \| ", page, re.MULTILINE)
    return {skill: 100 * int(right) / int(asked) for skill, right, asked in rows}


@pytest.mark.parametrize("skill", SAID)
def test_said_share_is_the_measured_one(skill: str, measured: dict[str, float]) -> None:
    lines = (ROOT / "docs" / "bundled-model.md").read_text(encoding="utf-8").splitlines()
    row = next(line for line in lines if line.startswith("| `sightline/peek-12m/bf-16`"))
    said = re.search(SAID[skill], row)
    assert said is not None
    assert abs(int(said[1]) - measured[skill]) <= 0.5
