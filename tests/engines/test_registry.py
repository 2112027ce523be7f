"""Kinds of engine by name; options that do not fit are a sentence."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sightline.engines.registry import create
from sightline.errors import ConfigError
from sightline.settings import EngineSpec
from sightline.testing.scripted_engine import ScriptedEngine


def test_engine_gets_its_options() -> None:
    engine = create(EngineSpec("scripted", {"step_s": 0.25, "model": "a/b"}))

    assert isinstance(engine, ScriptedEngine)
    assert engine.step_s == 0.25


def test_unknown_kind_names_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"no engine 'magic'.*genai.*transcribe"):
        create(EngineSpec("magic"))


def test_unknown_option_is_a_sentence() -> None:
    with pytest.raises(ConfigError, match=r"'scripted' does not take these options: .*speed"):
        create(EngineSpec("scripted", {"speed": 9}))


def test_engine_that_is_not_chosen_is_not_imported() -> None:
    program = (
        "import sys; from sightline.engines.registry import create; from sightline.settings import EngineSpec;"
        "create(EngineSpec('scripted')); print({'openvino', 'openvino_genai', 'rapidocr'} & set(sys.modules))"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "set()"
