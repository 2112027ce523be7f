"""What is drawn is what the scene says, or every answer taught from it would be a lie."""

import numpy as np
import pytest
from drawing import UNASKED, draw, draw_worn, label_patches, label_pictograms, relate, rng_for
from pictures import Glyph
from scenes import COLOUR_NAMES, LEAST_CONTRAST, MOST_THINGS, SHAPE_NAMES, Scene, contrast, sample_scene

SCENES = [sample_scene(rng_for("watch", index, seed=5)) for index in range(150)]


def pixel_at(scene: Scene, pixels: np.ndarray, x: float, y: float) -> np.ndarray:
    height, width = pixels.shape[:2]
    return pixels[int(y * height), int(x / scene.aspect * width)]


def test_the_centre_of_a_filled_thing_has_its_colour() -> None:
    for scene in SCENES:
        pixels = draw(scene, round(300 * scene.aspect), 300)
        for thing in scene.things:
            if not thing.line:
                assert np.allclose(pixel_at(scene, pixels, thing.x, thing.y), thing.rgb, atol=2), thing


def test_things_do_not_touch_and_lie_inside() -> None:
    for scene in SCENES:
        for i, a in enumerate(scene.things):
            assert a.reach <= a.x <= scene.aspect - a.reach
            assert a.reach <= a.y <= 1 - a.reach
            for b in scene.things[:i]:
                assert np.hypot(a.x - b.x, a.y - b.y) > a.reach + b.reach


def test_things_stand_out_from_the_background() -> None:
    faint = [t for s in SCENES for t in s.things if contrast(t.rgb, s.near, s.far) < LEAST_CONTRAST]

    assert not faint


def test_every_count_shape_and_colour_is_drawn() -> None:
    assert {len(scene.things) for scene in SCENES} == set(range(MOST_THINGS + 1))
    assert {thing.shape for scene in SCENES for thing in scene.things} == set(SHAPE_NAMES)
    assert {thing.colour for scene in SCENES for thing in scene.things} == set(COLOUR_NAMES)


@pytest.mark.parametrize("grid", [12, 14])
def test_patch_labels_name_each_thing_at_its_centre(grid: int) -> None:
    for scene in SCENES:
        labels = label_patches(scene, grid)
        assert labels.centre.sum() == len({centre_patch(scene, thing, grid) for thing in scene.things})
        for thing in scene.things:
            patch = centre_patch(scene, thing, grid)
            if thing.reach > 1.5 / grid:
                assert labels.shape[patch] == SHAPE_NAMES.index(thing.shape) + 1
                assert labels.colour[patch] == COLOUR_NAMES.index(thing.colour) + 1


def centre_patch(scene: Scene, thing: object, grid: int) -> int:
    return int(thing.y * grid) * grid + int(thing.x / scene.aspect * grid)  # type: ignore[attr-defined]


def test_the_same_seed_draws_the_same_picture() -> None:
    def picture(split: str) -> np.ndarray:
        rng = rng_for(split, 3)
        return draw_worn(sample_scene(rng), rng, 96)

    assert np.array_equal(picture("eval"), picture("eval"))


def test_splits_never_share_a_picture() -> None:
    def scenes(split: str) -> set[Scene]:
        return {sample_scene(rng_for(split, index)) for index in range(100)}

    assert not scenes("train") & scenes("eval")
    assert not scenes("train") & scenes("watch")


def test_relations_count_and_rank_what_is_there() -> None:
    for scene in SCENES:
        by_x = sorted(scene.things, key=lambda thing: thing.x)
        for rank, thing in enumerate(by_x):
            total, shape, colour, both, from_left, from_top = relate(thing, scene)
            assert total == len(scene.things)
            assert 1 <= both <= min(shape, colour) <= total
            assert from_left == rank
            assert from_top == sum(other.y < thing.y for other in scene.things)


def test_a_pictogram_is_named_on_its_patches_and_ranked_among_the_others() -> None:
    marks = [Glyph("sun", 0.25, 0.25, 0.4, 0.4), Glyph("key", 0.75, 0.75, 0.4, 0.4), Glyph("sun", 0.8, 0.2, 0.3, 0.3)]

    labels = label_pictograms(marks, ("key", "sun"), 8)

    names = labels.name.reshape(8, 8)
    assert names[:4, :4].max() == 2
    assert set(names[4:, 4:].ravel()) == {0, 1}
    assert not names[4:, :4].any()
    assert labels.relations.reshape(8, 8, 6)[2, 2].tolist() == [3, 2, UNASKED, 2, 0, 1]
    assert labels.centre.sum() == 3
    assert set(labels.shape[labels.name > 0]) == set(labels.colour[labels.name > 0]) == {UNASKED}
    assert not labels.shape[labels.name == 0].any()
