"""What is examined was never taught: faces, words, layouts, palettes and wordings of eval are its own."""

from pathlib import Path

import numpy as np
import pytest
from pictures import KINDS, bills, blocks, charts, invoices, lexicon, papers, tables, words
from pictures.asking import wording
from pictures.base import SPLITS, Split, rng_for, split_of
from pictures.credits import face_table, symbol_table
from pictures.fonts import CHARACTERS, FAMILIES, faces
from pictures.palette import names
from pictures.symbols import EMOJI, ICON_SETS, ICONS

LISTS = ("COMMON", "FIRST", "LAST", "PRODUCTS", "PRODUCT_MAKES", "TOWNS")


def test_a_face_serves_one_split() -> None:
    files = [file for family in FAMILIES for file in family.files]

    assert len(files) == len(set(files))
    assert sum(len(family.files) for family in FAMILIES if family.split == "train") >= 60
    assert sum(len(family.files) for family in FAMILIES if family.split == "eval") >= 12


@pytest.mark.skipif(not faces("train"), reason="no fonts: neither gathered nor Debian's DejaVu")
def test_the_files_at_hand_serve_one_split() -> None:
    found = [set(faces(split)) for split in SPLITS]

    assert all(found)
    assert not found[0] & found[1]
    assert not found[0] & found[2]


@pytest.mark.parametrize("name", LISTS)
def test_every_split_has_words_of_every_list_and_they_can_be_drawn(name: str) -> None:
    listed = getattr(lexicon, name)
    parts = [set(words.of_split(listed, split)) for split in SPLITS]

    assert all(parts)
    assert set.union(*parts) == set(listed)
    assert set("".join(listed)) <= set(CHARACTERS)


def test_a_word_of_eval_is_never_taught() -> None:
    rngs = [rng_for(split, 0) for split in ("train", "eval")]
    taught = {words.word(rngs[0], "train") for _ in range(400)}
    examined = {words.word(rngs[1], "eval") for _ in range(400)}

    assert not {word.lower() for word in taught} & {word.lower() for word in examined}


def test_a_picture_that_is_learnt_from_repeats_its_words_as_one_of_eval_does() -> None:
    def repeated(split: Split) -> float:
        """The share of a picture's thirty common words that it has said before; the mean of many pictures."""
        rngs = [rng_for(split, index) for index in range(200)]
        return 1 - float(np.mean([len({words.common(rng, split) for _ in range(30)}) for rng in rngs])) / 30

    assert repeated("train") > 0.5 * repeated("eval") > 0.1


def test_every_word_of_training_is_in_some_picture() -> None:
    rngs = [rng_for("train", index) for index in range(300)]

    assert {words.choose(rng, "train", lexicon.TOWNS) for rng in rngs for _ in range(20)} == set(
        words.of_split(lexicon.TOWNS, "train")
    )


def test_a_piece_of_the_tokenizer_is_written_in_training_alone() -> None:
    written = {split: {words.word(rng_for(split, index), split).lower() for index in range(3000)} for split in SPLITS}

    assert len(written["train"] & words.SPOKEN) > 100
    assert not (written["watch"] | written["eval"]) & words.SPOKEN


@pytest.mark.parametrize(
    "look",
    [
        bills.pick_look,
        invoices.pick_look,
        tables.pick_look,
        charts.pick_look,
        blocks.pick_look,
        lambda rng, split: papers.pick_look(rng, split, "form"),
    ],
)
def test_a_layout_belongs_to_one_split(look) -> None:  # type: ignore[no-untyped-def]
    found = {split: {look(np.random.default_rng(i), split).name for i in range(60)} for split in SPLITS}

    assert all(split_of(name) == split for split, named in found.items() for name in named)
    assert not found["train"] & found["eval"]
    assert len(found["eval"]) > 3


@pytest.mark.parametrize("dark", [False, True])
def test_a_palette_belongs_to_one_split(dark: bool) -> None:
    found = [set(names(split, dark)) for split in SPLITS]

    assert all(len(each) > 20 for each in found)
    assert not found[0] & found[1]
    assert not found[0] & found[2]


def test_the_last_wordings_are_kept_for_eval() -> None:
    ways = [str(i) for i in range(10)]
    rng = np.random.default_rng(1)
    taught = {wording(rng, "train", ways) for _ in range(300)}

    assert taught == set(ways[:8])
    assert {wording(rng, "eval", ways) for _ in range(300)} == set(ways)


def test_every_icon_and_emoji_has_a_name_of_its_own() -> None:
    assert len(set(EMOJI.values())) == len(EMOJI) >= 150
    assert all(len(columns) == len(ICON_SETS) for columns in ICONS.values())
    assert {icons.split for icons in ICON_SETS} == {"train", "eval"}


def test_every_face_and_icon_set_is_credited() -> None:
    page = (Path(__file__).parents[3] / "docs" / "training-data.md").read_text(encoding="utf-8")

    assert face_table() in page
    assert symbol_table() in page
    assert all(f"`{kind}`" in page for kind in KINDS)
