"""Imports go one way, as docs/architecture.md draws it; read from the source, nothing is imported."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent.parent / "src" / "sightline"
BASE = {
    *("errors", "core", "ids", "settings", "settings_validation", "log", "metrics", "traces", "malloc", "failpoints"),
}
STAGES = {"auth", "admission", "images", "engines", "evidence", "metering"}

# What each part may import beside the base and itself.
ALLOWED: dict[str, set[str]] = {
    **{name: set() for name in (*BASE, "wire", "store", "server")},
    **{name: {"store"} for name in STAGES},
    "prompting": STAGES,
    "pipeline": STAGES | {"prompting"},
    "client": STAGES | {"prompting", "wire"},
    "testing": STAGES | {"store"},
    "api": STAGES | {"pipeline", "wire", "store"},
    "app": STAGES | {"pipeline", "api", "server", "store"},
    "cluster": STAGES | {"app"},
    "cli": STAGES | {"app", "wire", "api", "client", "server", "store"},
    "__main__": {"cli"},
}
FILES = sorted(file for file in SOURCE.rglob("*.py") if file != SOURCE / "__init__.py")


def part_of(file: Path) -> str:
    return file.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported_parts(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute"
            names.update(
                [node.module or ""] if node.module != "sightline" else [f"sightline.{a.name}" for a in node.names]
            )
    ours = [name.split(".") for name in names if name.split(".")[0] == "sightline"]
    return {parts[1] for parts in ours if len(parts) > 1 and not parts[1].startswith("__")}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_imports_go_one_way(file: Path) -> None:
    part = part_of(file)

    assert part in ALLOWED, f"{part} has no place in the layers; say which"
    assert imported_parts(file) - {part} <= ALLOWED[part] | BASE


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_underscored_names_stay_in_their_package(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    ours = [node for node in imports if (node.module or "").split(".")[0] == "sightline"]

    private = [
        alias.name for node in ours for alias in node.names if alias.name.startswith("_") and alias.name[1] != "_"
    ]
    modules = [node.module for node in ours if any(part.startswith("_") for part in (node.module or "").split("."))]

    assert private + modules == []


def test_only_the_cluster_and_its_engine_import_ray() -> None:
    users = [file for file in FILES if re.search(r"^\s*(from|import) ray\b", file.read_text(), re.MULTILINE)]

    assert {file.relative_to(SOURCE).parts[:-1] for file in users} == {("cluster",), ("engines", "ray")}


def test_the_page_reader_knows_nothing_of_sightline() -> None:
    files = sorted((SOURCE.parent / "pagetext").rglob("*.py"))

    assert files
    assert [
        file.name for file in files if re.search(r"^\s*(from|import) sightline\b", file.read_text(), re.MULTILINE)
    ] == []


def test_base_modules_do_not_import_each_other_in_circles() -> None:
    seen: set[str] = set()
    for name in ("errors", "core", "ids", "settings_validation", "settings", "log"):
        assert imported_parts(SOURCE / f"{name}.py") <= seen
        seen.add(name)


def test_only_settings_reads_the_environment() -> None:
    """The command line reads the two variables of a client; libvips reads one of its own; a service of one's own is
    started without the settings in it; failpoints are no setting."""
    reading = {
        file.relative_to(SOURCE).as_posix() for file in FILES if "os.environ" in file.read_text(encoding="utf-8")
    }

    assert reading <= {
        "settings.py",
        "cli/api_client.py",
        "images/decode.py",
        "testing/live_server.py",
        "failpoints.py",
    }
