"""Samples → chunks of tensors, drawn in worker processes as fast as the cores allow, and eaten without waiting.

In: a split, the mix and the sizes. Out: chunks of a fixed number of pictures and rows. Where drawing is slower than
training, chunks already drawn are taken again (a few times at most), so that the machine that learns never idles.
"""

from __future__ import annotations

import os
import queue
import random
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from labels import pick_tokens
from model import Sizes
from rows import RowWriter, Span
from samples import Mix, Sample, Seen, glance, sample
from tokenizers import Tokenizer
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

PICTURES = 32
"""Views in a chunk."""
SAMPLES = 4
"""Numbers that a chunk has for its samples, for each of its views: some are left out, some are not seen."""
ASKED_TOKENS = 64
"""Tokens of a picture whose patches are asked for their characters."""
SHAPE_LABELS = {"shape": np.int8, "colour": np.int8, "name": np.int16, "relations": np.int8}
SHAPE_LABELS |= {"centre": np.float16, "offset": np.float16}
GLANCED_SEED = 1 << 20
"""Added to the seed for what is only glanced at, so that no picture is drawn twice."""
Chunk = dict[str, Tensor]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Recipe:
    """What every chunk is made by. `row_tokens` is a row's length, `rows` how many a chunk has."""

    sizes: Sizes
    tokenizer: Path
    seed: int = 0
    kinds: tuple[tuple[str, float], ...] | None = None
    row_tokens: int = 1536
    rows: int = 10
    pictures: int = PICTURES
    unseen: float = 0.0
    glances: int = 0
    """Views a chunk beyond `pictures` that the tower alone learns from."""

    @property
    def mix(self) -> Mix:
        sizes = self.sizes
        return Mix(
            sizes.image_px,
            sizes.grid,
            dict(self.kinds) if self.kinds else None,
            letters=sizes.letters,
            unseen=self.unseen,
        )


class Chunks(IterableDataset):  # type: ignore[type-arg]
    """Chunks from number `first` on; each worker makes its own share of them.

    Chunk n has samples from n * SAMPLES * pictures.
    """

    def __init__(self, split: str, recipe: Recipe, first: int) -> None:
        super().__init__()
        self.split, self.recipe, self.first = split, recipe, first

    def __iter__(self) -> Iterator[Chunk]:
        torch.set_num_threads(1)
        worker = get_worker_info()
        number, step = (self.first + worker.id, worker.num_workers) if worker else (self.first, 1)
        writer, by_pipe = writer_for(self.recipe), "CHUNKS_BY_PIPE" in os.environ
        while True:
            chunk = make_chunk(self.split, number, self.recipe, writer)[0]
            number += step
            # Arrays are sent through a pipe, tensors lie in shared memory, of which some machines have little.
            yield {name: value.numpy() for name, value in chunk.items()} if by_pipe else chunk  # type: ignore[misc]


def writer_for(recipe: Recipe) -> RowWriter:
    tokenizer = Tokenizer.from_file(str(recipe.tokenizer / "tokenizer.json"))
    return RowWriter(tokenizer, image_tokens=recipe.sizes.image_tokens, length=recipe.row_tokens)


def make_chunk(split: str, number: int, recipe: Recipe, writer: RowWriter) -> tuple[Chunk, list[Span]]:
    """Draw samples until the chunk's pictures are full, no more unseen ones than seen, and write their rows."""
    rng = np.random.default_rng([recipe.seed, number, 17])
    samples: list[Sample] = []
    held = unseen = 0
    index = number * SAMPLES * recipe.pictures
    while held < recipe.pictures:
        if index >= (number + 1) * SAMPLES * recipe.pictures:
            raise RuntimeError(f"chunk {number} cannot be filled: too few samples can be drawn")
        drawn = attempt(sample, split, index, recipe, seed=recipe.seed)
        index += 1
        if drawn is None:
            continue
        size = sum(map(len, drawn.images))
        unseen += size == 0
        if held + size <= recipe.pictures and (size or unseen <= recipe.pictures):
            samples.append(drawn)
            held += size
    views = [view for one in samples for image in one.images for view in image]
    if split == "train":
        views += glances(number, recipe)
    rows = writer.write(samples, recipe.rows, rng)
    arrays = {**rows.arrays(recipe.row_tokens), **picture_arrays(views, recipe.sizes, rng)}
    return {name: torch.from_numpy(array) for name, array in arrays.items()}, rows.spans


def glances(number: int, recipe: Recipe) -> list[Seen]:
    """Draw what chunk `number` shows to the tower alone."""
    views: list[Seen] = []
    index = number * SAMPLES * recipe.glances
    while len(views) < recipe.glances:
        if index >= (number + 1) * SAMPLES * recipe.glances:
            raise RuntimeError(f"chunk {number} cannot be filled: too few pictures can be drawn")
        drawn = attempt(glance, "train", index, recipe, seed=recipe.seed + GLANCED_SEED)
        views += drawn or []
        index += 1
    return views[: recipe.glances]


def attempt(draw: Callable[[str, int, int, Mix], T], split: str, index: int, recipe: Recipe, *, seed: int) -> T | None:
    """Draw; what cannot be drawn is told of and left out, so that it does not end hours of training."""
    try:
        return draw(split, index, seed, recipe.mix)
    except Exception:
        print(f"{split} {index} of seed {seed} could not be drawn", file=sys.stderr)
        traceback.print_exc()
        return None


def picture_arrays(views: list[Seen], sizes: Sizes, rng: np.random.Generator) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
    """Return pixels, characters of all patches, the tokens asked about, and the things of the views that show any."""
    asked = min(ASKED_TOKENS, sizes.image_tokens)
    known = [(number, view.shapes) for number, view in enumerate(views) if view.shapes is not None]
    arrays: dict[str, Any] = {
        "pictures": np.stack([view.pixels for view in views]),
        "characters": np.stack([view.characters for view in views]),
        "asked": np.stack([pick_tokens(view.characters, sizes.pool, asked, rng) for view in views]),
        "scenes": np.array([number for number, _ in known], np.int64),
    }
    for name, kind in SHAPE_LABELS.items():
        arrays[name] = np.stack([getattr(shapes, name).astype(kind) for _, shapes in known] or [_none(name, sizes)])
    return arrays


def _none(name: str, sizes: Sizes) -> np.ndarray:  # type: ignore[type-arg]
    """A place holder where a chunk has no scene: `scenes` is empty then."""
    last = {"offset": (5,), "relations": (6,)}.get(name, ())
    return np.zeros((sizes.grid**2, *last))


def join(chunks: list[Chunk], image_tokens: int) -> Chunk:
    """Lay several chunks together; numbers of pictures, slots and places are counted on through all of them."""
    joined: Chunk = {}
    pictures = rows = 0
    moved = []
    for chunk in chunks:
        slots = chunk["slots"]
        shift = torch.where(slots >= 0, slots + pictures * image_tokens, slots)
        moved.append(
            {
                **{name: value for name, value in chunk.items() if name not in SHAPE_LABELS or len(chunk["scenes"])},
                "slots": shift,
                "taught": chunk["taught"] + rows * chunk["ids"].shape[1],
                "scenes": chunk["scenes"] + pictures,
            }
        )
        pictures += len(chunk["pictures"])
        rows += len(chunk["ids"])
    for name in chunks[0]:
        parts = [chunk[name] for chunk in moved if name in chunk]
        if parts:
            joined[name] = torch.cat(parts)
    return joined


class Feed:
    """Hands out chunks: fresh ones if there are any, else ones drawn before, each `uses` times at most.

    A thread takes chunks off the workers; the newest `held` are kept for taking again.
    """

    def __init__(self, loader: DataLoader[Chunk], *, held: int, uses: int) -> None:
        self.fresh: queue.Queue[Chunk] = queue.Queue(maxsize=64)
        self.kept: list[tuple[Chunk, int]] = []
        self.held, self.uses = held, uses
        self.taken = self.again = 0
        self.random = random.Random(0)
        self.failure: BaseException | None = None
        batches = iter(loader)  # The workers are forked here, while no other thread can hold a lock.
        threading.Thread(target=self._pull, args=(batches,), daemon=True).start()

    def _pull(self, batches: Iterator[Chunk]) -> None:
        try:
            for chunk in batches:
                self.fresh.put({name: torch.as_tensor(value).clone() for name, value in chunk.items()})
        except BaseException as failure:
            self.failure = failure
            raise

    def take(self) -> Chunk:
        """Return the next chunk; waits only while there is nothing left to take again.

        Raises:
            RuntimeError: no more chunks are drawn.
        """
        while True:
            if self.failure is not None:
                raise RuntimeError("the pictures' workers failed") from self.failure
            try:
                chunk = self.fresh.get(block=not self.kept, timeout=5)
                break
            except queue.Empty:
                if self.kept:
                    return self._again()
        self.taken += 1
        if self.uses > 1:
            self.kept.append((chunk, self.uses - 1))
            if len(self.kept) > self.held:
                self.kept.pop(0)
        return chunk

    def _again(self) -> Chunk:
        at = self.random.randrange(len(self.kept))
        chunk, left = self.kept[at]
        self.again += 1
        if left == 1:
            self.kept[at] = self.kept[-1]
            self.kept.pop()
        else:
            self.kept[at] = (chunk, left - 1)
        return chunk


def as_it_is(chunk: Chunk) -> Chunk:
    """Keep arrays arrays: the loader would make tensors of them, which lie in shared memory."""
    return chunk


def open_feed(recipe: Recipe, *, first: int, workers: int, held: int, uses: int) -> Feed:
    """Start the workers; `first` is the number of the first chunk."""
    loader: DataLoader[Chunk] = DataLoader(
        Chunks("train", recipe, first),
        batch_size=None,
        num_workers=workers,
        prefetch_factor=2 if workers else None,
        collate_fn=as_it_is,
    )
    return Feed(loader, held=held, uses=uses)
