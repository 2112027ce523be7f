"""The bundled model as the checkpoint that other software reads: Hugging Face's files, weights by their usual names.

OpenVINO keeps what the weights were called, in the constant or in the operation that takes it; so the shipped export is
enough, and what vLLM serves is what the embedded engine runs.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from support.models import BUNDLED_FOLDER

_PARTS = ("language", "vision_embeddings")
_SMALLEST_BYTES = 100  # what is smaller is no weight but a constant of the arithmetic
_BETWEEN = frozenset({"Convert", "Reshape", "Transpose"})
_POSITIONS = "vision_tower.vision_model.embeddings"


def write_checkpoint(folder: Path) -> None:
    """Write the bundled model into an empty folder."""
    weights: dict[str, NDArray[np.float32]] = {}
    core = openvino.Core()
    for part in _PARTS:
        model = core.read_model(BUNDLED_FOLDER / f"openvino_{part}_model.xml")
        constants = [node for node in model.get_ops() if node.get_type_name() == "Constant"]
        for constant in constants:
            if constant.get_byte_size() >= _SMALLEST_BYTES:
                name, value = _weight(constant)
                weights[name] = np.ascontiguousarray(value, dtype=np.float32)
    _save(weights, folder / "model.safetensors")
    for path in BUNDLED_FOLDER.iterdir():
        if path.suffix in (".json", ".jinja") and path.name != "sightline.json":
            shutil.copy(path, folder)


def _save(weights: dict[str, NDArray[np.float32]], path: Path) -> None:
    """Write weights as safetensors, so that no library for it is needed: a length, JSON, then the bytes."""
    head: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, value in weights.items():
        head[name] = {"dtype": "F32", "shape": value.shape, "data_offsets": [at, at + value.nbytes]}
        at += value.nbytes
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for value in weights.values():
            file.write(value.data)


def _weight(constant: Any) -> tuple[str, Any]:
    """The name that Hugging Face's Gemma 3 gives a constant, and its value there."""
    value = constant.get_data().astype(np.float32)
    module, operation = _user(constant).removeprefix("__module.model.").removeprefix("model.").split("/aten::", 1)
    kind = module.rsplit(".", 1)[-1]
    if module == "multi_modal_projector":
        return f"{module}.mm_input_projection_weight", value.T
    if module == "__module.lm_head":
        return "language_model.model.embed_tokens.weight", value
    module = module.replace("language_model.", "language_model.model.", 1)
    if module == _POSITIONS:
        return f"{module}.position_embedding.weight", value[0]
    if operation.startswith("mul/"):  # Gemma's norms multiply by one more than their weight
        return f"{module}.weight", value.reshape(-1) - 1
    if operation.endswith("/Add"):
        return f"{module}.bias", value.reshape(-1)
    return f"{module}.weight", value.reshape(-1) if "norm" in kind else value


def _user(constant: Any) -> str:
    """The name of the operation that takes a constant."""
    node = constant
    while True:
        (user,) = {target.get_node() for target in node.output(0).get_target_inputs()}
        if user.get_type_name() not in _BETWEEN:
            return str(user.get_friendly_name())
        node = user
