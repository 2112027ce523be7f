"""What a person can use is documented: commands, routes, settings, error codes, measurements, make targets."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
import typer

from sightline import errors
from sightline.api.routes import ROUTES
from sightline.cli.main import app
from sightline.images.receipt import ImageReceipt
from sightline.settings import Settings
from sightline.wire.protocol import REFUSED, ChatBody

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
COMMANDS = (ROOT / "docs" / "commands.md").read_text()
ERRORS = (ROOT / "docs" / "errors.md").read_text()
REQUESTS = (ROOT / "docs" / "requests.md").read_text()
SETTINGS = (ROOT / "docs" / "settings.md").read_text()


def commands(group: Any, prefix: str = "") -> list[str]:
    found = []
    for name, command in group.commands.items():
        is_group = hasattr(command, "commands")
        found += commands(command, f"{prefix}{name} ") if is_group else [prefix + name]
    return found


def settings(value: Any, prefix: str = "") -> list[tuple[str, str]]:
    found = []
    for item in fields(value):
        inner = getattr(value, item.name)
        if is_dataclass(inner):
            found += settings(inner, f"{prefix}{item.name}.")
        elif not isinstance(inner, tuple | dict):
            found.append((prefix + item.name, str(inner)))
    return found


def codes() -> set[str]:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    declared = {kind.code for kind in kinds if issubclass(kind, errors.ServiceError) and kind.code}
    source = "".join(path.read_text() for path in (ROOT / "src" / "sightline" / "wire").glob("*.py"))
    return declared | set(re.findall(r'"((?:invalid|unknown|missing|unsupported)_\w+)"', source))


@pytest.mark.parametrize("command", commands(typer.main.get_command(app)))
def test_each_command_is_documented(command: str) -> None:
    assert re.search(rf"^\|.*`(sightline )?{command}\b", COMMANDS, re.MULTILINE)


def test_each_parameter_of_a_request_is_documented_as_taken_or_refused() -> None:
    parameters, _, _ = REQUESTS.partition("Anything else is refused")
    named = set(re.findall(r"`(\w+)`", parameters))
    refused = next(line for line in parameters.splitlines() if "| refused by name" in line)

    assert ChatBody.model_fields.keys() <= named
    assert set(re.findall(r"`(\w+)`", refused.partition(" | ")[0])) == set(REFUSED)


@pytest.mark.parametrize("field", [*ImageReceipt.__struct_fields__, "cost", "timings"])
def test_each_field_of_the_receipt_is_documented(field: str) -> None:
    assert f'"{field}": ' in REQUESTS


@pytest.mark.parametrize("path", [route.path for route in ROUTES])
def test_each_route_is_documented(path: str) -> None:
    shown = path.replace("{model_id:path}", "{id}").replace("/v1/chat/completions/input_tokens", "…/input_tokens")

    assert f"{shown}`" in COMMANDS


@pytest.mark.parametrize(("name", "default"), settings(Settings()))
def test_each_setting_is_documented_with_its_default(name: str, default: str) -> None:
    assert f"| `{name}` | `{default}` |" in SETTINGS


def test_no_setting_is_documented_that_does_not_exist() -> None:
    documented = re.findall(r"^\| `([\w.]+)` \|", SETTINGS, flags=re.MULTILINE)

    assert documented == [name for name, _ in settings(Settings())]


@pytest.mark.parametrize("code", sorted(codes()))
def test_each_error_code_is_documented(code: str) -> None:
    assert f"`{code}`" in ERRORS


def test_each_link_of_the_readme_leads_to_a_file() -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", README)

    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_readme_architecture_and_changelog_are_short() -> None:
    assert len(README.split()) <= 500
    assert len((ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").split()) <= 1200
    assert len((ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()) <= 60
