"""What a training run leaves behind: checkpoints to go on from, and a log a person can read.

A checkpoint is written beside its place and then moved, so that a stop at any moment leaves the last whole one.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Protocol

import torch


class Stateful(Protocol):
    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> Any: ...


def save_checkpoint(path: Path, parts: dict[str, Stateful], step: int) -> None:
    """Write all parts and the step, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    waiting = path.with_suffix(".part")
    torch.save({"step": step, **{name: part.state_dict() for name, part in parts.items()}}, waiting)
    waiting.replace(path)


def load_checkpoint(path: Path, parts: dict[str, Stateful]) -> int:
    """Fill the parts from the checkpoint, if there is one; return the step to go on from (0: none)."""
    if not path.exists():
        return 0
    state = torch.load(path, map_location="cpu", weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return int(state["step"])


class Journal:
    """Running means between two lines of the log, and samples a second."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self.clear()

    def clear(self) -> None:
        self.sums: dict[str, float] = {}
        self.samples, self.steps, self.since = 0, 0, time.monotonic()

    def add(self, samples: int, **values: float) -> None:
        self.samples += samples
        self.steps += 1
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def write(self, step: int, measures: dict[str, float]) -> None:
        """Append one line: time, step, samples/s, mean losses, held-out measures; then start afresh."""
        speed = self.samples / (time.monotonic() - self.since)
        means = " ".join(f"{name} {total / self.steps:.4f}" for name, total in self.sums.items())
        held_out = " ".join(f"{name} {value:.3f}" for name, value in measures.items())
        line = f"{time.strftime('%H:%M:%S')} step {step} {speed:.1f}/s | {means} | {held_out}"
        with self.path.open("a") as log:
            log.write(line + "\n")
        self.clear()
