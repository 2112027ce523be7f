"""The third step: teach the vision tower alone, from what we know about every patch of a picture we drew.

In: drawn pictures and their `PatchLabels`. Out: runs/tower.pt. No words: shape and colour under each patch, where a
thing's centre is, how far and how large. This is what makes the joint training short (README.md has the figures).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from drawing import UNASKED, PatchLabels, draw_worn, label_patches, rng_for
from model import GRID, IMAGE_PX, WIDTH, start_positions, vision_config
from optimiser import Optimiser, rate_at
from runs import Journal, load_checkpoint, save_checkpoint
from scenes import COLOUR_NAMES, MOST_THINGS, SHAPE_NAMES, sample_scene
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset
from transformers import SiglipVisionModel

SHAPES_END = len(SHAPE_NAMES) + 1
COLOURS_END = SHAPES_END + len(COLOUR_NAMES) + 1
PLACE_END = COLOURS_END + 6
RELATIONS = 6
DENSE = ("shape", "colour", "centre", "offset", "relations")
Labels = dict[str, torch.Tensor]


class DenseHead(torch.nn.Linear):
    """One linear map from a patch to everything we ask of it; thrown away after training."""

    def __init__(self) -> None:
        super().__init__(WIDTH, PLACE_END + RELATIONS * (MOST_THINGS + 1))

    def loss(self, hidden: torch.Tensor, labels: Labels) -> torch.Tensor:
        """Return the summed loss over shape, colour, centre and offset; `hidden` is (pictures, patches, width)."""
        out = self(hidden).float().flatten(0, 1)
        shape, colour = labels["shape"].flatten(), labels["colour"].flatten()
        thing = (shape > 0).float()
        weight = 0.3 + 0.7 * thing
        kind = functional.cross_entropy(out[:, :SHAPES_END], shape, reduction="none")
        paint = functional.cross_entropy(out[:, SHAPES_END:COLOURS_END], colour, reduction="none")
        centre = functional.binary_cross_entropy_with_logits(
            out[:, COLOURS_END], labels["centre"].flatten(), pos_weight=torch.tensor(5.0)
        )
        way = (out[:, COLOURS_END + 1 : PLACE_END] - 5 * labels["offset"].flatten(0, 1)).abs().sum(-1)
        related = out[:, PLACE_END:].unflatten(1, (RELATIONS, -1)).transpose(1, 2)
        relations = functional.cross_entropy(related, labels["relations"].flatten(0, 1), ignore_index=UNASKED)
        return ((kind + paint) * weight).mean() + centre + (way * thing).mean() + relations


def to_tensors(pictures: list[np.ndarray], labels: list[PatchLabels]) -> tuple[torch.Tensor, Labels]:
    stacked = {name: torch.from_numpy(np.stack([getattr(label, name) for label in labels])) for name in DENSE}
    return torch.from_numpy(np.stack(pictures)), stacked


def pixel_values(pictures: torch.Tensor) -> torch.Tensor:
    """Turn (n, height, width, 3) uint8 into what the image processor gives the model: (n, 3, height, width), -1..1."""
    return pictures.permute(0, 3, 1, 2).float() / 127.5 - 1.0


class Pictures(IterableDataset):  # type: ignore[type-arg]
    """Batches of drawn pictures and patch labels, from sample `first` on."""

    def __init__(self, split: str, *, seed: int, first: int, batch: int) -> None:
        super().__init__()
        self.split, self.seed, self.first, self.batch = split, seed, first, batch

    def __iter__(self) -> Iterator[tuple[torch.Tensor, Labels]]:
        index = self.first
        while True:
            pictures, labels = [], []
            for _ in range(self.batch):
                rng = rng_for(self.split, index, self.seed)
                scene = sample_scene(rng)
                pictures.append(draw_worn(scene, rng, IMAGE_PX))
                labels.append(label_patches(scene, GRID))
                index += 1
            yield to_tensors(pictures, labels)


def watch(tower: SiglipVisionModel, head: DenseHead, batch: tuple[torch.Tensor, Labels]) -> dict[str, float]:
    """Measure on held-out pictures: shares of things named right at their centre, and of pictures counted right."""
    pictures, labels = batch
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        out = head(tower(pixel_values=pixel_values(pictures)).last_hidden_state).float()
    centre = (labels["centre"] > 0) & (labels["shape"] > 0)
    kind = out[..., :SHAPES_END].argmax(-1)
    paint = out[..., SHAPES_END:COLOURS_END].argmax(-1)
    found = (out[..., COLOURS_END] > 1.6).sum(1)
    related = out[..., PLACE_END:].unflatten(2, (RELATIONS, -1)).argmax(-1) == labels["relations"]
    names = ("total", "alike_shape", "alike_colour", "alike", "rank_x", "rank_y")
    return {
        **{name: float(related[..., i][centre].float().mean()) for i, name in enumerate(names)},
        "shape": float((kind == labels["shape"])[centre].float().mean()),
        "colour": float((paint == labels["colour"])[centre].float().mean()),
        "patch": float((kind == labels["shape"]).float().mean()),
        "count": float((found == labels["centre"].sum(1)).float().mean()),
    }


def train(folder: Path, *, pictures: int, batch: int, seed: int) -> None:
    torch.manual_seed(seed)
    tower, head = SiglipVisionModel(vision_config()), DenseHead()
    start_positions(tower)
    optimiser = Optimiser([*tower.named_parameters(), *head.named_parameters()])
    parts = {"tower": tower, "head": head, "optimiser": optimiser}
    step = load_checkpoint(folder / "tower.pt", parts)
    held_out = next(iter(Pictures("watch", seed=seed, first=0, batch=200)))
    data = DataLoader(
        Pictures("train", seed=seed, first=step * batch, batch=batch),
        batch_size=None,
        num_workers=1,
        prefetch_factor=4,
    )
    journal = Journal(folder / "tower.log")
    total, saved = pictures // batch, time.monotonic()
    for images, labels in data:
        if step >= total:
            break
        with torch.autocast("cpu", dtype=torch.bfloat16):
            hidden = tower(pixel_values=pixel_values(images)).last_hidden_state
            loss = head.loss(hidden, labels)
        loss.backward()
        optimiser.step(rate_at(step, total))
        step += 1
        journal.add(batch, loss=float(loss.detach()))
        if step % 50 == 0 or step == total:
            journal.write(step, watch(tower, head, held_out))
        if time.monotonic() - saved > 120 or step == total:
            save_checkpoint(folder / "tower.pt", parts, step)
            saved = time.monotonic()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path(__file__).parent / "runs")
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2, help="1 if the other core is busy: threads wait for it")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    train(options.runs, pictures=options.pictures, batch=options.batch, seed=options.seed)


if __name__ == "__main__":
    main()
