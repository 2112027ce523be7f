"""Model folders: what is read from one, and what is said of one that is not whole."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sightline.core import ImageEncoding, PanAndScan
from sightline.engines.genai.loading import Limits, plan
from sightline.engines.genai.model import Model, read_model
from sightline.errors import ConfigError

FILES = (
    "openvino_language_model.xml",
    "openvino_language_model.bin",
    "openvino_text_embeddings_model.xml",
    "openvino_vision_embeddings_model.xml",
    "openvino_tokenizer.xml",
    "openvino_detokenizer.xml",
)
CONFIG = {
    "model_type": "gemma3",
    "eos_token_id": [1, 106],
    "mm_tokens_per_image": 256,
    "text_config": {"hidden_size": 2560, "num_hidden_layers": 34, "num_key_value_heads": 4},
    "vision_config": {"image_size": 896},
}
TOKENIZER = {
    "added_tokens": [
        {"id": 2, "content": "<bos>", "special": True},
        {"id": 106, "content": "<end_of_turn>", "special": False},
        {"id": 7, "content": "\n\n", "special": False},
    ],
    "model": {"vocab": {"a": 9}},
    "decoder": {"type": "Sequence"},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "gemma-3-4b"
    folder.mkdir()
    for name in FILES:
        (folder / name).write_text("")
    write(folder, "config.json", CONFIG)
    write(folder, "tokenizer.json", TOKENIZER)
    write(folder, "preprocessor_config.json", {"image_mean": [0.5] * 3, "image_std": [0.5] * 3})
    return folder


def write(folder: Path, name: str, content: Any) -> None:
    (folder / name).write_text(json.dumps(content))


def read(folder: Path, model_id: str | None = None) -> Model:
    return read_model(folder, model_id=model_id, max_context=8192)


def test_a_published_configuration_is_read_with_its_defaults(folder: Path) -> None:
    model = read(folder)

    assert model.info.id == "gemma-3-4b"
    assert model.info.owned_by == "local"
    assert model.info.context_length == 8192
    assert model.image == ImageEncoding("square", size_px=896, tokens=256)
    assert model.info.max_images == 2
    assert model.eos_ids == {1, 106}
    assert model.controls == {"<bos>": 2, "<end_of_turn>": 106}
    assert model.vocabulary_size == 107
    assert model.cache_bytes_a_token == 2 * 2 * 34 * 4 * 256
    assert not model.has_byte_pieces


PIXELS = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
PAN_AND_SCAN = ("min_crop_size", "max_num_crops", "min_ratio_to_activate")


@pytest.mark.parametrize(
    ("settings", "rules"),
    [
        ({}, None),
        ({"do_pan_and_scan": False}, None),
        ({"do_pan_and_scan": True}, PanAndScan(256, 4, 1.2, by_default=True)),
        # As published with Gemma 3: named, and left to the processor's defaults.
        ({"do_pan_and_scan": None} | {f"pan_and_scan_{name}": None for name in PAN_AND_SCAN}, PanAndScan(256, 4, 1.2)),
        ({"pan_and_scan_min_crop_size": 64}, PanAndScan(64, 4, 1.2)),
        ({"pan_and_scan_max_num_crops": 2, "pan_and_scan_min_ratio_to_activate": 2}, PanAndScan(256, 2, 2.0)),
    ],
)
def test_closer_views_are_those_of_the_models_processor(
    folder: Path, settings: dict[str, Any], rules: PanAndScan | None
) -> None:
    write(folder, "preprocessor_config.json", PIXELS | settings)

    assert read(folder).image.pan_and_scan == rules


@pytest.mark.parametrize("settings", [{"min_crop_size": 0}, {"max_num_crops": 0}, {"max_num_crops": "many"}])
def test_closer_views_that_cannot_be_are_refused(folder: Path, settings: dict[str, Any]) -> None:
    named = {f"pan_and_scan_{name}": value for name, value in settings.items()}
    write(folder, "preprocessor_config.json", PIXELS | named)

    with pytest.raises(ConfigError, match=r"preprocessor_config\.json.* lacks or misspells"):
        read(folder)


def test_a_card_names_and_describes_the_model(folder: Path) -> None:
    card = {"id": "a/b", "created": 5, "description": "Sees.", "context_length": 4096, "max_images": 1}
    card |= {"ocr_max_chars": 900, "prompt_repetition": True}
    write(folder, "sightline.json", card)

    info = read(folder).info

    assert (info.id, info.owned_by, info.created, info.description) == ("a/b", "a", 5, "Sees.")
    assert (info.context_length, info.max_images, info.ocr_max_chars) == (4096, 1, 900)
    assert info.prompt_repetition
    assert read(folder, "c/d").info.id == "c/d"


@pytest.mark.parametrize(
    ("settings", "temperature"), [({}, 1.0), ({"do_sample": True}, 1.0), ({"do_sample": False}, 0.0)]
)
def test_a_model_that_is_not_to_be_sampled_from_is_greedy(
    folder: Path, settings: dict[str, bool], temperature: float
) -> None:
    write(folder, "generation_config.json", settings)

    assert read(folder).info.temperature == temperature


def test_generation_settings_add_their_own_ends(folder: Path) -> None:
    write(folder, "generation_config.json", {"eos_token_id": 5, "pad_token_id": 3})

    model = read(folder)

    assert model.eos_ids == {1, 5, 106}
    assert model.pad_id == 3


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder: (folder / "openvino_tokenizer.xml").unlink(), "missing: openvino_tokenizer.xml"),
        (lambda folder: write(folder, "config.json", CONFIG | {"model_type": "mllama"}), "'mllama' is not supported"),
        (lambda folder: write(folder, "config.json", CONFIG | {"vision_config": {}}), "image_size"),
        (lambda folder: write(folder, "config.json", []), "must hold a JSON object"),
        (lambda folder: (folder / "config.json").write_text("{"), "cannot be read as JSON"),
    ],
)
def test_a_folder_that_is_not_whole_says_what_is_wrong(folder: Path, spoil: Any, words: str) -> None:
    spoil(folder)

    with pytest.raises(ConfigError, match=words):
        read(folder)


def test_the_cache_is_as_large_as_the_requests_can_use(folder: Path) -> None:
    write(
        folder,
        "config.json",
        CONFIG | {"text_config": {"hidden_size": 8, "max_position_embeddings": 1024, "head_dim": 1}},
    )

    capacity = plan(read(folder), Limits(max_running=4))

    assert capacity.blocks == 4 * (1024 // 32 + 1)
    assert capacity.step_tokens == 1024 + 4


def test_the_cache_is_bounded_by_its_share_of_memory(folder: Path) -> None:
    model = read(folder)

    capacity = plan(model, Limits(cache_gb=2))

    assert capacity.blocks * 32 * model.cache_bytes_a_token <= 2 * 2**30


def test_a_cache_too_small_for_one_request_is_refused_with_the_figure(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"allow 1\.1 GiB"):
        plan(read(folder), Limits(cache_gb=0.5))


@pytest.mark.parametrize("bytes_a_token", [393_216, 139_264, 1_000_000])
def test_the_figure_of_a_cache_too_small_is_enough(folder: Path, bytes_a_token: int) -> None:
    """Gemma 3 12B takes 393,216 bytes a token: 3.01 GiB for one request, and "3.0" would be refused again."""
    model = read(folder)
    large = replace(model, cache_bytes_a_token=bytes_a_token)

    with pytest.raises(ConfigError) as refused:
        plan(large, Limits(cache_gb=0.5))

    figure = float(re.findall(r"allow ([\d.]+) GiB", str(refused.value))[0])
    assert plan(large, Limits(cache_gb=figure)).blocks > 0
