"""The training runs: the same values as Transformers, rows that do not leak, a run that goes on where it stopped.

Needs PyTorch, so it runs in training's own environment (`make test-training`) and is skipped in the service's.
"""

# ruff: noqa: E402 (what needs PyTorch is imported once it is known to be there)

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training's own environment has PyTorch; this one does not")
pytest.importorskip("transformers", reason="training's own environment has Transformers; this one does not")

import network
import pictures
from heads import Heads
from model import TINY, build_model
from network import Network, attention_allowed
from PIL import Image
from rows import MOST_AFTER, RowWriter
from runs import load_shards, mean_of, save_shards
from samples import Mix, Sample, read_alone, sample
from stream import Recipe, join, make_chunk, writer_for
from tokenizer import train_tokenizer

pytestmark = pytest.mark.filterwarnings("ignore")
TEXTS = [
    "What does it say?",
    "The image shows a red circle. Answer as JSON.",
    "user model Here is the original image",
] * 9
TRAINING = Path(__file__).parents[2] / "training"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    train_tokenizer(TEXTS).save_pretrained(folder / "tokenizer")
    return folder


@pytest.fixture(scope="module")
def recipe(runs: Path) -> Recipe:
    kinds = (("stub", 1.0), ("scenes", 1.0))
    return Recipe(TINY, runs / "tokenizer", kinds=kinds, row_tokens=320, rows=3, pictures=6)


@pytest.fixture(autouse=True)
def _stub(monkeypatch: pytest.MonkeyPatch) -> None:
    def draw(rng: np.random.Generator, split: str) -> pictures.Picture:
        wide = int(rng.integers(200, 800))
        glyphs = (pictures.Glyph("A", 0.2, 0.2, 0.1, 0.1), pictures.Glyph("b", 0.8, 0.8, 0.1, 0.1))
        asked = (
            pictures.Question("word", "What does it say?", "Ab"),
            pictures.Question("json", "Extract it.", '{"text": "Ab"}', {"type": "object"}),
        )
        return pictures.Picture("stub", (Image.new("RGB", (wide, 300), "white"),), (glyphs,), asked)

    monkeypatch.setitem(pictures.KINDS, "stub", draw)


def test_the_network_computes_what_transformers_does(runs: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(runs / "tokenizer")
    net, reference = Network(TINY, len(tokenizer)), build_model(TINY, tokenizer)
    net.start(0)
    weights = net.state_dict()
    if not any("vision_tower.vision_model" in name for name in reference.state_dict()):
        weights = {name.replace("vision_tower.vision_model", "vision_tower"): w for name, w in weights.items()}
    assert reference.load_state_dict(weights, strict=False).missing_keys == ["lm_head.weight"]
    pixels = torch.randint(0, 255, (2, 112, 112, 3), dtype=torch.uint8)
    count, image = TINY.image_tokens, reference.config.image_token_id
    ids = torch.tensor([[2, 20, 6, *[image] * count, 7, 30, 31, 32]] * 2)
    shown = ids == image
    slots = torch.full_like(ids, -1)
    slots[shown] = torch.arange(2 * count)
    rows = {"ids": ids, "slots": slots, "positions": torch.arange(ids.shape[1]).expand(2, -1), "blocks": shown.long()}

    with torch.no_grad():
        ours = net.score(net.speak(net.see(pixels)[1], {**rows, "segments": torch.zeros_like(ids)}))
        floats = pixels.permute(0, 3, 1, 2).float() / 127.5 - 1
        theirs = reference(input_ids=ids, pixel_values=floats, token_type_ids=shown.long()).logits

    assert torch.allclose(ours, theirs, atol=1e-5)


def test_a_turn_sees_its_picture_and_no_other_turn() -> None:
    #        common, picture ×2, turn 1, turn 1, turn 2, another sample
    segments = torch.tensor([[0, 0, 0, 1, 1, 2, 64]])
    blocks = torch.tensor([[0, 1, 1, 0, 0, 0, 0]])

    allowed = attention_allowed(segments, blocks)[0, 0].int().tolist()

    assert allowed[1] == [1, 1, 1, 0, 0, 0, 0]
    assert allowed[4] == [1, 1, 1, 1, 1, 0, 0]
    assert allowed[5] == [1, 1, 1, 0, 0, 1, 0]
    assert allowed[6] == [0, 0, 0, 0, 0, 0, 1]


@pytest.mark.parametrize("layout", ["before", "after"])
def test_a_first_turn_is_written_as_the_server_asks_it(runs: Path, recipe: Recipe, layout: str) -> None:
    from served import Ask, prompt_of

    writer = writer_for(recipe)
    drawn = replace(one_sample(recipe.mix), layout=layout)
    rows = writer.write([drawn], 1, np.random.default_rng(3)).columns[0]
    images = tuple(tuple(view.pixels for view in views) for views in drawn.images)
    ask = Ask(images, drawn.turns[0].question, drawn.system, drawn.layout, readings=drawn.readings, again=True)
    prompt = prompt_of(ask, tag="\n\n<start_of_image>\n\n")

    first = [
        token
        for token, segment, slot in zip(rows["ids"], rows["segments"], rows["slots"], strict=True)
        if segment in (0, 1) and slot < 0
    ]
    written = writer.tokenizer.decode(first, skip_special_tokens=False).removeprefix("<bos>").removeprefix("<bos>")

    assert written.replace("<start_of_image><end_of_image>", "<start_of_image>").startswith(prompt)
    assert drawn.readings == ("A\nb",)
    assert sum(slot >= 0 for slot in rows["slots"]) == recipe.sizes.image_tokens * len(images[0])


def test_rows_are_the_same_a_few_places_at_a_time(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = writer_for(recipe)
    net = Network(TINY, writer.tokenizer.get_vocab_size())
    net.start(1)
    chunk, _ = make_chunk("train", 0, recipe, writer)
    tokens = torch.randn(6, TINY.image_tokens, TINY.text_width)

    whole, parts = [], []
    for places, found in ((1000, whole), (48, parts)):
        monkeypatch.setattr(network, "PLACES", places)
        found.append(net.speak(tokens, chunk))

    assert (chunk["blocks"] > 0).any()
    assert torch.allclose(whole[0], parts[0], atol=1e-5)


def test_a_sample_whose_answers_are_too_long_leaves_its_room_to_others(recipe: Recipe) -> None:
    writer = writer_for(recipe)
    short = one_sample(recipe.mix)
    turn = replace(short.turns[0], pieces=(("A" * 2 * writer.length, True),))
    long = replace(short, turns=(turn, *short.turns), layout="talk")

    rows = writer.write([long, short], 1, np.random.default_rng(3))

    assert rows.groups == [1]
    assert len(rows.spans) == len(short.turns)
    assert rows.columns[0]["segments"].count(0) < writer.length / 2


def test_a_text_is_read_alone_where_the_picture_stood(recipe: Recipe) -> None:
    writer = writer_for(recipe)
    seen = one_sample(recipe.mix)

    (alone,) = writer.write([read_alone(seen)], 1, np.random.default_rng(3)).columns

    first = [token for token, segment in zip(alone["ids"], alone["segments"], strict=True) if segment in (0, 1)]
    text = writer.tokenizer.decode(first, skip_special_tokens=False)
    assert '\n\n"""\n1 A\n2 b\n"""' in text
    assert "image" not in text.removeprefix(seen.system)
    assert set(alone["slots"]) == {-1}


def test_a_grown_model_says_what_the_small_one_said(monkeypatch: pytest.MonkeyPatch) -> None:
    import grow

    monkeypatch.setattr(grow, "QUIET", -1.0)  # not a tenth, but nothing
    small, large = Network(replace(TINY, text_layers=2), 40), Network(replace(TINY, text_layers=5), 50)
    small.start(1)
    large.start(2)
    pieces = {f"piece {number}": number for number in range(50)}
    grow.grow(large, small.state_dict(), pieces, {f"piece {number}": 39 - number for number in range(40)})
    ids = torch.randint(0, 40, (1, 12))
    positions, allowed = torch.arange(12)[None], torch.ones(1, 1, 12, 12, dtype=torch.bool).tril()

    said = [
        net.language(net.language.embed(these), positions, allowed) for net, these in ((small, 39 - ids), (large, ids))
    ]

    assert torch.allclose(*said, atol=1e-5)
    assert torch.allclose(grow.stretched(torch.eye(4), 2), torch.eye(4), atol=1e-6)
    assert {
        grow.name_here(f"{before}language_model.{inner}norm.weight")
        for before in ("", "model.")
        for inner in ("", "model.")
    } == {"model.language_model.norm.weight"}
    assert grow.places(5, 8) == {0: 0, 1: 1, 3: 2, 4: 3, 6: 4}


def test_a_view_too_small_for_print_is_asked_for_things_alone(recipe: Recipe) -> None:
    mixes = [replace(recipe.mix, kinds={"stub": 1.0}, letters=letters) for letters in (True, False)]

    shown, hidden = ([sample("train", index, 0, mix) for index in range(40)] for mix in mixes)

    assert any(view.characters.any() for one in shown for view in one.images[0])
    assert not any(view.characters.any() for one in hidden for view in one.images[0])
    assert {len(one.images[0]) for one in hidden} == {1}
    small = Heads(replace(recipe.sizes, letters=False))
    assert {name.partition(".")[0] for name, _ in small.named_parameters()} == {"shapes", "names"}


def test_pictures_are_glanced_at_beside_those_that_are_talked_about(recipe: Recipe) -> None:
    glancing, writer = replace(recipe, glances=4), writer_for(recipe)

    (plain, _), (more, _), (watched, _) = (
        make_chunk(split, 3, each, writer)
        for split, each in (("train", recipe), ("train", glancing), ("watch", glancing))
    )

    assert len(more["pictures"]) == len(plain["pictures"]) + 4
    assert torch.equal(more["pictures"][:6], plain["pictures"])
    assert set(range(6, 10)) <= set(more["scenes"].tolist())
    assert int(more["slots"].max()) < 6 * recipe.sizes.image_tokens
    assert len(watched["pictures"]) == 6
    net, heads = Network(recipe.sizes, 50), Heads(recipe.sizes)
    net.start(0)
    patches, tokens = net.see(more["pictures"])
    losses = heads.losses(patches, tokens, more)
    assert set(losses) == {"patch", "token", "shapes", "names"}
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_a_question_before_its_picture_has_the_picture_to_itself(recipe: Recipe) -> None:
    mix = replace(recipe.mix, kinds={"scenes": 1.0}, letters=False)
    drawn = next(one for one in (sample("train", index, 0, mix) for index in range(50)) if len(one.images) == 1)
    writer = RowWriter(writer_for(recipe).tokenizer, image_tokens=recipe.sizes.image_tokens, length=900)

    rows = writer.write([replace(drawn, layout="after")], 1, np.random.default_rng(3))

    slots, segments = rows.columns[0]["slots"], rows.columns[0]["segments"]
    shown = [(slot, segment) for slot, segment in zip(slots, segments, strict=True) if slot >= 0]
    assert len(rows.spans) == MOST_AFTER
    assert sorted(shown) == [
        (slot, turn) for slot in range(recipe.sizes.image_tokens) for turn in range(1, MOST_AFTER + 1)
    ]


def one_sample(mix: Mix) -> Sample:
    for index in range(50):
        drawn = sample("train", index, 0, replace(mix, kinds={"stub": 1.0}))
        if drawn.layout == "before" and len(drawn.images[0]) > 1:
            return drawn
    raise AssertionError


def test_keys_that_are_not_asked_for_are_given_not_taught(recipe: Recipe) -> None:
    turns = [turn for turn in one_sample(recipe.mix).turns if turn.form == "json"]

    pieces = [piece for piece in turns[0].pieces if piece[0]]
    assert pieces == [("{", False), ('"text"', False), (': "Ab"}', True)]


def test_long_and_short_samples_share_rows_that_are_filled_alike(recipe: Recipe) -> None:
    mix = replace(recipe.mix, kinds={"stub": 1.0}, letters=False)
    drawn = next(one for one in (sample("train", index, 0, mix) for index in range(50)) if one.layout == "before")
    long = replace(drawn, readings=("long " * 40,))
    writer = RowWriter(writer_for(recipe).tokenizer, image_tokens=recipe.sizes.image_tokens, length=640)

    rows = writer.write([drawn, drawn, drawn, long], 2, np.random.default_rng(3))

    lengths = [rows.held(row) for row in range(2)]
    slots = [slot for columns in rows.columns for slot in columns["slots"] if slot >= 0]
    assert sorted(rows.groups) == [1, 3]
    assert len(rows.spans) == 4 * len(drawn.turns)
    assert sorted(slots) == list(range(4 * recipe.sizes.image_tokens))
    assert max(lengths) < 1.5 * min(lengths)


def test_joined_chunks_keep_their_own_pictures(recipe: Recipe) -> None:
    writer: RowWriter = writer_for(recipe)
    chunks = [make_chunk("train", number, recipe, writer)[0] for number in range(2)]

    joined = join(chunks, recipe.sizes.image_tokens)

    shown = joined["slots"][len(chunks[0]["ids"]) :]
    assert len(joined["pictures"]) == 12
    assert int(shown[shown >= 0].min()) >= 6 * recipe.sizes.image_tokens
    assert len(joined["taught"].unique()) == len(joined["targets"]) == len(joined["weights"])
    assert joined["taught"].max() < joined["ids"].numel()


def test_the_mean_of_runs_is_taken_weight_by_weight(tmp_path: Path) -> None:
    for name, value in (("one", 1.0), ("other", 2.0)):
        save_shards(tmp_path / name, {"a": torch.full((3,), value)}, {})

    assert torch.equal(mean_of([tmp_path / "one", tmp_path / "other"])["a"], torch.full((3,), 1.5))
    with pytest.raises(SystemExit, match="no shards"):
        mean_of([tmp_path])


def test_shards_come_back_as_they_were(tmp_path: Path) -> None:
    weights = {"a": torch.randn(3000, 3000).bfloat16().float(), "b": torch.randn(5).bfloat16().float()}

    save_shards(tmp_path, weights, {"spent_s": 3.0})

    found = load_shards(tmp_path)
    assert found is not None
    assert found[1] == {"spent_s": 3.0}
    assert all(torch.equal(found[0][name], weight) for name, weight in weights.items())
    assert max(file.stat().st_size for file in tmp_path.iterdir()) < 2 * 15 * 2**20


def test_a_run_learns_and_goes_on_where_it_stopped(runs: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(TRAINING / "train.py"),
        "--runs",
        str(runs),
        "--out",
        str(tmp_path),
        "--sizes",
        "tiny",
    ]
    command += ["--kinds", "scenes=1", "--chunks", "1", "--pictures", "6", "--rows", "3", "--row-tokens", "320"]
    command += ["--watched", "1", "--minutes", "0.02", "--tower-share", "0.3", "--device", "cpu", "--threads", "1"]

    subprocess.run([*command, "--steps", "3"], check=True, timeout=100)
    subprocess.run(command, check=True, timeout=100)
    log = (tmp_path / "train.log").read_text()
    shutil.rmtree(runs / "peek")
    subprocess.run([*command, "--minutes", "0.04", "--steps", "2"], check=True, timeout=100)

    assert "step 0 spent" in log
    assert "step 3 spent" in log
    assert "words" in log
    assert "leg ends: 2 steps" in (tmp_path / "train.log").read_text()
