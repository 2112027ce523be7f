"""Model patches: a model folder as the pipeline should have it, made of links and of the few files it needs otherwise.

In: a model folder, left as it is. Out: a temporary folder to load from, and the bytes that each token shows.
Three files differ. The detokenizer's vocabulary has no text for control tokens and plain bytes for all others:
as exported, the grammar engine takes `<end_of_turn>` for thirteen characters that may stand in a JSON string, where it
ends the answer, and Gemma's own tokenizers spell a blank U+2581, so that no token would ever fit one. The
vision model and its settings are those of `vision.unpacking_model`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import numpy as np
import numpy.typing as npt
import openvino
from openvino import opset13

from sightline.engines.genai.answer import Vocabulary
from sightline.engines.genai.model import PIXELS, Model
from sightline.engines.genai.tempdir import temporary_folder
from sightline.engines.genai.vision import VISION_MODEL, unpacking_model
from sightline.errors import ConfigError

DETOKENIZER = "openvino_detokenizer.xml"
_BYTE_PIECE = re.compile(rb"<0x([0-9A-F]{2})>")
_BLANK = "\u2581".encode()
# A combined processor_config.json would be read first, and has the sizes of real pictures.
_REPLACED = frozenset({PIXELS, "processor_config.json", Path(DETOKENIZER).stem, Path(VISION_MODEL).stem})


@contextmanager
def patched_folder(model: Model) -> Iterator[tuple[Path, Vocabulary]]:
    """Make the folder to load `model` from; it is gone when the context ends.

    Raises:
        ConfigError: the folder's detokenizer is of another make than OpenVINO's exporter writes.
    """
    import_module("openvino_tokenizers")  # registers the operations that tokenizer models are made of
    # It owns the library that tokenizer models' nodes live in, so it has to outlive every one of them.
    core = openvino.Core()
    with temporary_folder() as folder:
        for file in model.path.iterdir():
            if file.name not in _REPLACED and file.stem not in _REPLACED:
                (folder / file.name).symlink_to(file.resolve())
        vocabulary = _write_detokenizer(core, model, folder)
        _write_vision(model, folder)
        yield folder, vocabulary


def _write_vision(model: Model, folder: Path) -> None:
    size = {"height": model.image.tokens + 1, "width": model.width}
    settings = {"size": size, "image_mean": [0.0] * 3, "image_std": [1.0] * 3}
    (folder / PIXELS).write_text(json.dumps(settings), encoding="utf-8")
    openvino.save_model(unpacking_model(model.image.tokens, model.width), folder / VISION_MODEL, compress_to_fp16=False)


def _write_detokenizer(core: openvino.Core, model: Model, folder: Path) -> Vocabulary:
    detokenizer = core.read_model(model.path / DETOKENIZER)
    decoder = next((node for node in detokenizer.get_ops() if node.get_type_name() == "VocabDecoder"), None)
    if decoder is None:
        raise ConfigError(f"{model.path}: {DETOKENIZER} has no vocabulary; export the tokenizer again")
    pieces = [piece if model.has_byte_pieces else _raw(piece) for piece in _unpack(decoder)]
    for number in model.controls.values():
        pieces[number] = b""
    _pack(decoder, pieces)
    openvino.save_model(detokenizer, folder / DETOKENIZER, compress_to_fp16=False)
    pieces += [b""] * (model.vocabulary_size - len(pieces))
    return Vocabulary(pieces=pieces, eos_ids=model.eos_ids, pad_id=model.pad_id)


def _unpack(decoder: openvino.Node) -> list[bytes]:
    begins, ends, chars = (np.array(decoder.input_value(at).get_node().data) for at in (1, 2, 3))
    whole = chars.tobytes()
    return [whole[begin:end] for begin, end in zip(begins, ends, strict=True)]


def _pack(decoder: openvino.Node, pieces: Sequence[bytes]) -> None:
    ends: npt.NDArray[np.int32] = np.cumsum([len(piece) for piece in pieces], dtype=np.int32)
    begins = np.concatenate([np.zeros(1, np.int32), ends[:-1]])
    chars = np.frombuffer(b"".join(pieces), np.uint8)
    for at, values in enumerate((begins, ends, chars), start=1):
        decoder.input(at).replace_source_output(opset13.constant(values).output(0))


def _raw(piece: bytes) -> bytes:
    """Return the bytes behind Gemma's own spelling: `<0x0A>` is one, U+2581 is a blank."""
    byte = _BYTE_PIECE.fullmatch(piece)
    return bytes([int(byte[1], 16)]) if byte else piece.replace(_BLANK, b" ")
