"""What we reach into private parts of is bounded in pyproject.toml, and the installed version is within the bounds."""

from __future__ import annotations

import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
REACHED_INTO = ("uvicorn", "openvino-genai")


@pytest.mark.parametrize("name", REACHED_INTO)
def test_installed_version_is_within_bounds_on_both_sides(name: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (wanted,) = [one for one in map(Requirement, project["dependencies"]) if one.name == name]

    assert {bound.operator for bound in wanted.specifier} == {">=", "<"}
    assert version(name) in wanted.specifier
