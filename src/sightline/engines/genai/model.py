"""A model folder to what the engine must know of it: sizes, ids, control tokens, and its entry in the model list.

In: a folder as an OpenVINO export leaves it, with an optional `sightline.json` beside (id, owned_by, created,
description, context_length, max_images, ocr_max_chars, prompt_repetition, characters_per_token). Out: one `Model`.
Reads only; loads no weights.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.core import ImageEncoding, ModelInfo, PanAndScan
from sightline.engines.genai.template import FAMILIES, Gemma3
from sightline.errors import ConfigError
from sightline.ids import MOST_CHARACTERS, is_name

CARD = "sightline.json"
PIXELS = "preprocessor_config.json"
DEFAULT_MAX_IMAGES = 2
DEFAULT_MAX_CONTEXT = 8192
SUPPORTED_PARAMETERS = frozenset(
    {
        "frequency_penalty",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "presence_penalty",
        "response_format",
        "seed",
        "stop",
        "temperature",
        "top_p",
    }
)
_NEEDED = (
    "config.json",
    PIXELS,
    "tokenizer.json",
    "openvino_language_model.xml",
    "openvino_language_model.bin",
    "openvino_text_embeddings_model.xml",
    "openvino_vision_embeddings_model.xml",
    "openvino_tokenizer.xml",
    "openvino_detokenizer.xml",
)
# What published configurations leave out because it is the default of Transformers' Gemma3TextConfig.
_TEXT_DEFAULTS = {
    "max_position_embeddings": 131_072,
    "num_hidden_layers": 26,
    "num_key_value_heads": 4,
    "head_dim": 256,
}
_CACHE_BYTES_A_VALUE = 2


@dataclass(frozen=True, slots=True)
class Model:
    """One model as its folder describes it. `controls` are the tokenizer's control tokens, spelling to id."""

    path: Path
    info: ModelInfo
    family: Gemma3
    controls: Mapping[str, int]
    eos_ids: frozenset[int]
    pad_id: int
    vocabulary_size: int
    width: int
    """Numbers in the embedding of one token."""
    pixel_mean: tuple[float, ...]
    pixel_std: tuple[float, ...]
    cache_bytes_a_token: int
    has_byte_pieces: bool
    """True if vocabulary entries are raw bytes; False if U+2581 stands for a blank and <0x0A> for a byte."""

    @property
    def image(self) -> ImageEncoding:
        """How an image becomes tokens; every family here takes images."""
        assert self.info.image is not None
        return self.info.image


def read_model(path: Path, *, model_id: str | None = None, max_context: int) -> Model:
    """Read a folder; `max_context` caps the context length, in tokens.

    Raises:
        ConfigError: the folder is missing, incomplete or of a family that is not supported; lists every problem.
    """
    _check_files(path)
    config = _read_json(path / "config.json")
    family = FAMILIES.get(str(config.get("model_type")))
    if family is None:
        known = ", ".join(FAMILIES)
        raise ConfigError(f"{path}: model type {config.get('model_type')!r} is not supported; these are: {known}")
    try:
        return _assemble(path, config, family, _card(path, model_id, max_context))
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{path}: config.json, {PIXELS}, tokenizer.json or {CARD} lacks or misspells {error}"
        ) from error


def _check_files(path: Path) -> None:
    if not path.is_dir():
        raise ConfigError(f"{path}: no such folder; give the folder of an OpenVINO export")
    missing = [name for name in _NEEDED if not (path / name).is_file()]
    if missing:
        raise ConfigError(f"{path}: not an OpenVINO export of a vision-language model; missing: {', '.join(missing)}")


def _card(path: Path, model_id: str | None, max_context: int) -> dict[str, Any]:
    card = _read_json(path / CARD) if (path / CARD).is_file() else {}
    card["id"] = model_id or card.get("id") or path.resolve().name
    if not is_name(str(card["id"])):
        raise ConfigError(f"{path}: a model's id has 1 to {MOST_CHARACTERS} printable characters; state a shorter one")
    card["context_length"] = min(max_context, int(card.get("context_length", max_context)))
    return card


def _assemble(path: Path, config: dict[str, Any], family: Gemma3, card: dict[str, Any]) -> Model:
    text = _TEXT_DEFAULTS | config["text_config"]
    tokenizer = _read_json(path / "tokenizer.json")
    generation = _read_json(path / "generation_config.json") if (path / "generation_config.json").is_file() else {}
    pixels = _read_json(path / PIXELS)
    controls = _controls(tokenizer, family)
    model_id = str(card["id"])
    return Model(
        path=path,
        info=ModelInfo(
            id=model_id,
            owned_by=str(card.get("owned_by") or (model_id.split("/")[0] if "/" in model_id else "local")),
            created=int(card.get("created") or (path / "openvino_language_model.xml").stat().st_mtime),
            context_length=min(int(text["max_position_embeddings"]), card["context_length"]),
            description=str(card.get("description", "")),
            image=ImageEncoding(
                "square",
                size_px=int(config["vision_config"]["image_size"]),
                tokens=int(config["mm_tokens_per_image"]),
                pan_and_scan=_pan_and_scan(pixels),
            ),
            max_images=int(card.get("max_images", DEFAULT_MAX_IMAGES)),
            supported_parameters=SUPPORTED_PARAMETERS,
            ocr_max_chars=int(card.get("ocr_max_chars", 0)),
            prompt_repetition=bool(card.get("prompt_repetition", False)),
            temperature=0.0 if generation.get("do_sample") is False else 1.0,
            characters_per_token=max(1, int(card.get("characters_per_token", 4))),
        ),
        family=family,
        controls=controls,
        eos_ids=_eos_ids(config) | _eos_ids(generation),
        pad_id=int(generation.get("pad_token_id", text.get("pad_token_id", 0))),
        vocabulary_size=_vocabulary_size(text, tokenizer),
        width=int(text["hidden_size"]),
        pixel_mean=tuple(map(float, pixels["image_mean"])),
        pixel_std=tuple(map(float, pixels["image_std"])),
        cache_bytes_a_token=2
        * _CACHE_BYTES_A_VALUE
        * int(text["num_hidden_layers"])
        * int(text["num_key_value_heads"])
        * int(text["head_dim"]),
        has_byte_pieces=(tokenizer.get("decoder") or {}).get("type") == "ByteLevel",
    )


def _pan_and_scan(pixels: dict[str, Any]) -> PanAndScan | None:
    """Read how the model takes closer views; published settings name them all, mostly as null for the default."""
    by_default, prefix = bool(pixels.get("do_pan_and_scan")), "pan_and_scan_"
    if not by_default and not any(name.startswith(prefix) for name in pixels):
        return None
    usual = PanAndScan()
    given = {name.removeprefix(prefix): value for name, value in pixels.items() if value is not None}
    rules = PanAndScan(
        min_crop_px=int(given.get("min_crop_size", usual.min_crop_px)),
        max_crops=int(given.get("max_num_crops", usual.max_crops)),
        min_ratio=float(given.get("min_ratio_to_activate", usual.min_ratio)),
        by_default=by_default,
    )
    if min(rules.min_crop_px, rules.max_crops) < 1:
        raise ValueError(f"{prefix}min_crop_size or {prefix}max_num_crops, which are 1 or more")
    return rules


def _vocabulary_size(text: dict[str, Any], tokenizer: dict[str, Any]) -> int:
    """One more than the largest id there can be; a model's table is often longer than its tokenizer's."""
    largest = max([*tokenizer["model"]["vocab"].values(), *(token["id"] for token in tokenizer["added_tokens"])])
    return max(int(text.get("vocab_size", 0)), int(largest) + 1)


def _controls(tokenizer: dict[str, Any], family: Gemma3) -> dict[str, int]:
    """Every spelling that the tokenizer reads as a control token, whatever else may stand around it."""
    return {
        str(token["content"]): int(token["id"])
        for token in tokenizer["added_tokens"]
        if token["special"] or token["content"] in family.controls
    }


def _eos_ids(config: dict[str, Any]) -> frozenset[int]:
    ids = config.get("eos_token_id", [])
    return frozenset(int(number) for number in (ids if isinstance(ids, list) else [ids]))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as JSON") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: must hold a JSON object")
    return content
