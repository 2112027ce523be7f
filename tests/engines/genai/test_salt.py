"""The cache of prompts' beginnings: what one owner's prompts left there is found by nobody else's."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest
from openvino import Tensor
from tests.engines.genai.conftest import FOLDER

from sightline.core import ImagePart, Message, Pixels, SamplingParams, TextPart
from sightline.engines.genai import salt
from sightline.engines.genai.encoder_cache import feature_key
from sightline.engines.genai.loading import Limits, Loaded, load
from sightline.engines.genai.model import Model, read_model
from sightline.engines.genai.model_patches import EMBEDDINGS, TOKENIZER
from sightline.engines.genai.salt import BITS, PLACES, STRIDE, Salts, mark, salt_embeddings, salt_tokenizer
from sightline.engines.genai.sampling import generation_config
from sightline.engines.genai.vision import pack

pytestmark = pytest.mark.engine
SPELLINGS = ("<eos>", "<pad>")
Encode = Callable[[str], list[int]]


@pytest.fixture(scope="module")
def model() -> Model:
    return read_model(FOLDER, max_context=2048)


@pytest.fixture(scope="module")
def encoders(model: Model, tmp_path_factory: pytest.TempPathFactory) -> tuple[Encode, Encode]:
    """The tokenizer as it is in the folder, and as it is salted."""
    tokenizers = import_module("openvino_tokenizers")
    assert tokenizers is not None
    core = openvino.Core()
    salted = core.read_model(FOLDER / TOKENIZER)
    ids = (model.controls[SPELLINGS[0]], model.controls[SPELLINGS[1]])
    salt_tokenizer(salted, ids, model.vocabulary_size)
    path = tmp_path_factory.mktemp("salted") / TOKENIZER
    openvino.save_model(salted, path, compress_to_fp16=False)

    def encoder(file: Path) -> Encode:
        compiled = core.compile_model(file, "CPU")

        def encode(text: str) -> list[int]:
            out = compiled([text])
            assert out["attention_mask"].shape == out["input_ids"].shape
            ids: list[int] = out["input_ids"][0].tolist()
            return ids

        return encode

    return encoder(FOLDER / TOKENIZER), encoder(path)


@pytest.mark.parametrize("text", ["", "a", "<image_soft_token>", "Is there a red circle?", "<eos><pad>" * 20 + "a"])
def test_what_carries_no_salt_is_tokenised_as_ever(encoders: tuple[Encode, Encode], text: str) -> None:
    plain, salted = encoders

    assert salted(text) == plain(text)


def test_a_salt_is_taken_off_the_end_and_put_into_the_first_ids(encoders: tuple[Encode, Encode], model: Model) -> None:
    plain, salted = encoders
    text, size = "<start_of_turn>user\nIs there a red circle?", model.vocabulary_size
    salts = Salts(SPELLINGS)

    found = {owner: salted(text + salts.suffix(owner)) for owner in ("a", "b")}

    for ids in found.values():
        assert [number % size for number in ids] == plain(text)
        assert max(ids[PLACES:]) < size
        assert max(ids) < 2**31
    assert found["a"] != found["b"]
    assert found["a"] == salted(text + salts.suffix("a"))


@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_embeddings_with_a_salt_differ_by_rounding_where_they_are_looked_at(model: Model, precision: str) -> None:
    core = openvino.Core()
    salted = core.read_model(FOLDER / EMBEDDINGS)
    salt_embeddings(salted, model.vocabulary_size, model.width)
    hint = {"INFERENCE_PRECISION_HINT": precision}
    plain, marked = (core.compile_model(one, "CPU", hint) for one in (core.read_model(FOLDER / EMBEDDINGS), salted))
    ids = np.array([[2, 4, 20, 30]], np.int64)

    before = plain(ids)[0]
    unsalted, with_salt = marked(ids)[0], marked(ids + model.vocabulary_size * np.array([63, 1, 2, 0]))[0]

    assert np.array_equal(before, unsalted)
    changed = [np.nonzero(one)[0].tolist() for one in (with_salt != before)[0]]
    assert changed == [[0, 50, 100, 150, 200, 250], [0], [STRIDE], []]
    assert np.abs(with_salt / before - 1).max() < 2**-21


def test_owners_draw_salts_that_nobody_had(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter([5, 5, 6, 5, 6, 7])
    monkeypatch.setattr(salt.secrets, "randbits", lambda bits: next(drawn))
    monkeypatch.setattr(salt, "MOST_OWNERS", 2)
    salts = Salts(("0", "1"))

    suffixes = [salts.suffix(owner) for owner in ("a", "b", "a", "c", "a")]

    assert suffixes[0] == "101" + "0" * (BITS - 2)
    assert suffixes == [suffixes[0], "011" + "0" * (BITS - 2), suffixes[0], "111" + "0" * (BITS - 2), suffixes[0]]


def test_a_mark_tells_pictures_apart_and_changes_next_to_nothing() -> None:
    features = np.random.default_rng(1).standard_normal((36, 256)).astype(np.float32)
    one, other = pack(features), pack(features)

    mark(one, b"a" * 32)
    mark(other, b"b" * 32)

    assert not np.array_equal(one[:2], other[:2])
    assert np.abs(one.astype(int) - other.astype(int)).max() <= 3
    assert np.array_equal(one[-1], other[-1])
    assert np.array_equal(one[:, :, :2], other[:, :, :2])


class Prefixes:
    """A pipeline that keeps beginnings, and how much of its cache two running requests take."""

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded
        self._asked = 0

    def blocks(self, *asked: tuple[str, str, Pixels | None]) -> int:
        """Run requests (owner, text, picture) side by side; returns the blocks that they hold together."""
        handles = []
        for one in asked:
            handles.append(self._add(*one))
            self._loaded.pipeline.step()
        usage = self._loaded.pipeline.get_metrics().cache_usage
        for handle in handles:
            handle.cancel()
        while self._loaded.pipeline.has_non_finished_requests():
            self._loaded.pipeline.step()
        return round(usage / 100 * self._loaded.capacity.blocks)

    def _add(self, owner: str, text: str, picture: Pixels | None) -> Any:
        loaded, self._asked = self._loaded, self._asked + 1
        parts = (TextPart(text),) if picture is None else (TextPart(text), ImagePart(0), TextPart(text))
        prompt = loaded.writer.write((Message("user", parts),), [1] * (picture is not None))
        assert loaded.salts is not None
        config = generation_config(SamplingParams(), max_tokens=9, eos_ids=frozenset({1}), form=None)
        packed = loaded.vision.encode([picture]) if picture is not None else []
        for features in packed:
            assert picture is not None
            mark(features, feature_key(picture, owner).sha256)
        tensors = [Tensor(features[np.newaxis]) for features in packed]
        return loaded.pipeline.add_request(self._asked, prompt.tagged + loaded.salts.suffix(owner), tensors, config)


@pytest.fixture(scope="module")
def prefixes(model: Model) -> Prefixes:
    return Prefixes(load(model, Limits(max_running=4)))


@pytest.fixture
def pictures(model: Model) -> tuple[Pixels, Pixels]:
    """Two pictures that differ by one bit."""
    shape = (model.image.size_px, model.image.size_px, 3)
    one = np.random.default_rng(9).integers(0, 255, shape, dtype=np.uint8)
    other = one.copy()
    other[100, 100, 1] ^= 1
    return one, other


LONG = "Is there a red circle in this picture? " * 8


def test_a_beginning_is_found_again_by_its_owner_alone(prefixes: Prefixes) -> None:
    own = prefixes.blocks(("a", LONG + "1", None), ("a", LONG + "2", None))
    others = prefixes.blocks(("b", LONG + "1", None), ("c", LONG + "2", None))

    assert others == 2 * prefixes.blocks(("d", LONG + "1", None))
    assert own < others


def test_another_picture_is_another_beginning(prefixes: Prefixes, pictures: tuple[Pixels, Pixels]) -> None:
    one, other = pictures

    same = prefixes.blocks(("e", "What?", one), ("e", "What?", one))
    different = prefixes.blocks(("f", "What?", one), ("f", "What?", other))
    whose = prefixes.blocks(("g", "What?", one), ("h", "What?", one))

    assert same < different == whose
