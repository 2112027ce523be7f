"""What a training run leaves behind: a state to go on from, shards to carry away, and a log a person can read.

The state holds everything, and is written beside its place and then moved, so that a stop at any moment leaves the
last whole one. Shards hold the mean weights as bf16, in files small enough to be sent back from a machine that is
lent; a run goes on from them too, only its optimiser starts afresh.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

SHARD_BYTES = 15 * 2**20
PROGRESS = "progress.json"


class Stateful(Protocol):
    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> Any: ...


def save_state(path: Path, parts: Mapping[str, Stateful], progress: dict[str, float]) -> None:
    """Write all parts and how far they are, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    waiting = path.with_suffix(".part")
    torch.save({"progress": progress, **{name: part.state_dict() for name, part in parts.items()}}, waiting)
    waiting.replace(path)
    (path.parent / PROGRESS).write_text(json.dumps(progress, indent=2) + "\n")


def chunks_drawn(*folders: Path) -> int:
    """Return how many chunks were drawn by what lies in the first of these folders that tells; 0 if none does."""
    for folder in folders:
        if (folder / PROGRESS).exists():
            return int(json.loads((folder / PROGRESS).read_text())["chunks"])
    return 0


def load_state(path: Path, parts: Mapping[str, Stateful]) -> dict[str, float] | None:
    """Fill the parts from a state, if there is one; return how far it was."""
    if not path.exists():
        return None
    state = torch.load(path, map_location="cpu", weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(state[name])
    progress: dict[str, float] = state["progress"]
    return progress


def save_shards(folder: Path, weights: Mapping[str, Tensor], progress: dict[str, float]) -> None:
    """Write the weights as bf16 in files of at most `SHARD_BYTES`, and how far they are."""
    folder.mkdir(parents=True, exist_ok=True)
    shards: list[dict[str, Tensor]] = [{}]
    room = SHARD_BYTES
    for name, weight in weights.items():
        small = weight.detach().to("cpu", torch.bfloat16).clone()
        size = small.numel() * 2 + 1024
        if size > room and shards[-1]:
            shards.append({})
            room = SHARD_BYTES
        shards[-1][name] = small
        room -= size
    for number, shard in enumerate(shards):
        torch.save(shard, folder / f"weights-{number:02d}.pt")
    (folder / PROGRESS).write_text(json.dumps({**progress, "shards": len(shards)}, indent=2) + "\n")


def load_shards(folder: Path) -> tuple[dict[str, Tensor], dict[str, float]] | None:
    """Return the weights as float32 and how far they were; None if there are none.

    Raises:
        FileNotFoundError: a shard is missing.
    """
    if not (folder / PROGRESS).exists():
        return None
    progress = json.loads((folder / PROGRESS).read_text())
    if "shards" not in progress:
        return None
    weights: dict[str, Tensor] = {}
    for number in range(int(progress.pop("shards"))):
        weights |= torch.load(folder / f"weights-{number:02d}.pt", map_location="cpu", weights_only=True)
    return {name: weight.float() for name, weight in weights.items()}, progress


def mean_of(folders: Sequence[Path]) -> dict[str, Tensor]:
    """Return the mean of several runs' weights, as shards hold them, of runs that went on from one another.

    Raises:
        SystemExit: a folder has no shards.
    """
    found = []
    for folder in folders:
        loaded = load_shards(folder)
        if loaded is None:
            raise SystemExit(f"{folder}: no shards; train.py writes them")
        found.append(loaded[0])
    return {
        name: (sum(weights[name] for weights in found) / len(found)).to(torch.bfloat16).float() for name in found[0]
    }


class Journal:
    """Running means between two lines of the log, and pictures a second. Values may be tensors; read only in `write`,
    so that a GPU is not waited for at every step."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self.clear()

    def clear(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}
        self.pictures, self.since = 0, time.monotonic()

    def add(self, pictures: int, values: Mapping[str, Tensor]) -> None:
        self.pictures += pictures
        for name, value in values.items():
            value = value.detach().float()
            self.sums[name] = self.sums[name] + value if name in self.sums else value.clone()
            self.counts[name] = self.counts.get(name, 0) + 1

    def write(self, head: str, measures: Mapping[str, float]) -> None:
        """Append and print one line: time, head, pictures/s, mean losses, held-out shares right; then start afresh."""
        speed = self.pictures / max(1e-9, time.monotonic() - self.since)
        means = " ".join(f"{name} {float(total) / self.counts[name]:.3f}" for name, total in self.sums.items())
        held_out = " ".join(f"{name} {value:.3f}" for name, value in measures.items())
        self.say(f"{head} {speed:.1f}/s | {means} | {held_out}")
        self.clear()

    def say(self, text: str) -> None:
        """Append and print a line as it is, with the time before it."""
        line = f"{time.strftime('%H:%M:%S')} {text}"
        print(line, flush=True)
        with self.path.open("a") as log:
            log.write(line + "\n")
