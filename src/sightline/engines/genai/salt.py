"""Keeps the cache of prompts' beginnings apart by owner: each owner's prompts begin with embeddings of their own.

OpenVINO GenAI finds the keys and values of a prompt's beginning by a hash over the bits of its embeddings: every
`STRIDE`th value of each token, `MOST_VALUES` of them. It knows no owners. So the first tokens of a prompt carry the
owner's salt in those values, as a change by 2^-22 of them, which no answer depends on: who does not know the salt
neither finds what is kept nor can put anything in its place.

The salt goes through the pipeline as control tokens behind the prompt. The tokenizer takes them off again and adds them
to the first token ids, beyond the vocabulary; the model of embeddings reads them there. Both are made of the folder's
own by the functions below.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict

import numpy as np
import openvino
from openvino import opset13 as op

from sightline.core import Pixels

STRIDE = 50
MOST_VALUES = 10
PLACES = 4
"""Tokens that carry the salt: every prompt has more, and they all lie in the first block of the cache."""
BITS_A_PLACE = 6
BITS = PLACES * BITS_A_PLACE
MOST_OWNERS = 100_000
_STEP = 2.0**-22
_END = np.iinfo(np.int64).max


class Salts:
    """A salt an owner, drawn at random and never given twice; who was away longest is forgotten and draws anew.

    A salt is spelled in two control tokens, for 0 and for 1, the lowest bit first, and ends with the one for 0.
    """

    def __init__(self, spellings: tuple[str, str]) -> None:
        self._spellings = spellings
        self._owners: OrderedDict[str, int] = OrderedDict()
        self._given: set[int] = set()

    def suffix(self, owner: str) -> str:
        """Return what is to stand behind a prompt of `owner`."""
        salt = self._owners.get(owner)
        if salt is None:
            salt = self._owners[owner] = self._draw()
            if len(self._owners) > MOST_OWNERS:
                self._owners.popitem(last=False)
        self._owners.move_to_end(owner)
        bits = [self._spellings[salt >> at & 1] for at in range(BITS)]
        return "".join([*bits, self._spellings[0]])

    def _draw(self) -> int:
        if len(self._given) > 2 ** (BITS - 1):
            self._given.clear()
        while (salt := secrets.randbits(BITS)) in self._given:
            pass
        self._given.add(salt)
        return salt


def mark(packed: Pixels, sha256: bytes) -> None:
    """Change packed features (see `vision.pack`) by 2^-22 of the largest so that they tell which picture they are of.

    Else two pictures that differ by little might be one to the hash. Mutates `packed`.
    """
    values = packed[:-1, ::STRIDE, 2][:, :MOST_VALUES]
    noise = np.frombuffer(hashlib.shake_256(sha256).digest(values.size), np.uint8).reshape(values.shape)
    values[:] = values & 0b11111100 | noise & 0b11


def salt_tokenizer(model: openvino.Model, ids_of_bits: tuple[int, int], vocabulary_size: int) -> None:
    """Have a tokenizer's model take a salt from the end of a prompt and add it to the first token ids."""
    ended_id, one_id = ids_of_bits
    results = {name: result for result in model.results for name in result.input_value(0).get_names()}
    ids = results["input_ids"].input_value(0)
    last = op.slice(ids, [-1], [_END], [1], [1])
    is_salted = op.reduce_sum(op.convert(op.equal(last, _ints(ended_id)), "i64"), _ints([0, 1]), keep_dims=True)
    length = op.slice(op.shape_of(ids, "i64"), [1], [2], [1], [0])
    left = op.subtract(length, op.multiply(op.reshape(is_salted, _ints([1]), False), _ints([BITS + 1])))
    ones = op.convert(op.equal(op.slice(ids, [-BITS - 1], [-1], [1], [1]), _ints(one_id)), "i64")
    # What is shorter than a salt has none, and counts as one of zeros.
    padded = op.slice(op.concat([_ints(np.zeros((1, BITS))), ones], 1), [-BITS], [_END], [1], [1])
    weights = _ints([[1 << at for at in range(BITS_A_PLACE)]])
    digits = op.reduce_sum(op.multiply(op.reshape(padded, _ints([PLACES, BITS_A_PLACE]), False), weights), _ints([1]))
    first = op.multiply(op.multiply(op.reshape(digits, _ints([1, PLACES]), False), is_salted), _ints(vocabulary_size))
    kept = op.slice(ids, [0], left, [1], [1])
    others = op.multiply(kept, _ints(0))
    added = op.slice(op.concat([first, others], 1), [0], left, [1], [1])
    _replace(results["input_ids"], op.add(kept, added))
    _replace(results["attention_mask"], op.slice(results["attention_mask"].input_value(0), [0], left, [1], [1]))


def salt_embeddings(model: openvino.Model, vocabulary_size: int, width: int) -> None:
    """Have a model of text embeddings read the salt from token ids beyond the vocabulary, and mark what it returns."""
    ids = model.inputs[0]
    readers = list(ids.get_target_inputs())
    wide = op.convert(ids, "i64")
    token = op.floor_mod(wide, _ints(vocabulary_size))
    digit = op.divide(op.subtract(wide, token), _ints(vocabulary_size))
    for reader in readers:
        reader.replace_source_output(op.convert(token, ids.get_element_type()).output(0))
    factors = np.ones((1 << BITS_A_PLACE, width), np.float32)
    for at in range(min(BITS_A_PLACE, MOST_VALUES, -(-width // STRIDE))):
        factors[:, at * STRIDE] += _STEP * (np.arange(1 << BITS_A_PLACE) >> at & 1)
    marked = op.multiply(model.results[0].input_value(0), op.gather(op.constant(factors), digit, _ints(0)))
    _replace(model.results[0], marked)


def _replace(result: openvino.Node, node: openvino.Node) -> None:
    """Have a result return `node` under the names of what it returned before."""
    before = result.input_value(0)
    names = before.get_names()
    before.get_tensor().set_names(set())
    result.input(0).replace_source_output(node.output(0))
    node.output(0).get_tensor().set_names(names)


def _ints(values: object) -> openvino.Node:
    return op.constant(np.asarray(values, np.int64))
