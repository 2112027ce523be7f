"""A tokenizer whose vocabulary the grammar engine reads rightly, and the bytes that each token shows.

In: a model folder. Out: the pipeline's tokenizer, loaded from a copy in which control tokens have no text and blanks
are blanks. As exported, the grammar engine takes `<end_of_turn>` for thirteen characters that may stand in a JSON
string, where it ends the answer; and Gemma's own tokenizers spell a blank U+2581, so that no token would ever fit one.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import numpy as np
import numpy.typing as npt
import openvino
from openvino import opset13
from openvino_genai import Tokenizer

from sightline.engines.genai.answer import Vocabulary
from sightline.engines.genai.model import Model
from sightline.errors import ConfigError

DETOKENIZER = "openvino_detokenizer.xml"
_BYTE_PIECE = re.compile(rb"<0x([0-9A-F]{2})>")
_BLANK = "\u2581".encode()


def load_tokenizer(model: Model) -> tuple[Tokenizer, Vocabulary]:
    """Load the tokenizer of `model` and its vocabulary; the model's folder is left as it is.

    Raises:
        ConfigError: the folder's detokenizer is of another make than OpenVINO's exporter writes.
    """
    import_module("openvino_tokenizers")  # registers the operations that tokenizer models are made of
    detokenizer = openvino.Core().read_model(model.path / DETOKENIZER)
    decoder = next((node for node in detokenizer.get_ops() if node.get_type_name() == "VocabDecoder"), None)
    if decoder is None:
        raise ConfigError(f"{model.path}: {DETOKENIZER} has no vocabulary; export the tokenizer again")
    pieces = [piece if model.has_byte_pieces else _raw(piece) for piece in _unpack(decoder)]
    for number in model.controls.values():
        pieces[number] = b""
    _pack(decoder, pieces)
    with tempfile.TemporaryDirectory(prefix="sightline-tokenizer-") as folder:
        for file in model.path.iterdir():
            if file.suffix == ".json" or file.stem == "openvino_tokenizer":
                shutil.copy(file, folder)
        openvino.save_model(detokenizer, Path(folder) / DETOKENIZER, compress_to_fp16=False)
        tokenizer = Tokenizer(folder)
    pieces += [b""] * (model.vocabulary_size - len(pieces))
    return tokenizer, Vocabulary(pieces=pieces, eos_ids=model.eos_ids, pad_id=model.pad_id)


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
