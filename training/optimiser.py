"""How weights move: Muon for the matrices inside the layers, AdamW for everything else, one schedule for both.

In: named parameters. Out: one object with `step`, `zero_grad` and a state that a checkpoint can hold. Muon (momentum
made orthogonal; Jordan et al. 2024) needed about half as many pictures as AdamW here: see README.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

MATRIX_RATE = 2e-3
OTHER_RATE = 1e-3


class Optimiser:
    """Muon and AdamW side by side, their rates scaled together."""

    def __init__(self, parameters: Iterable[tuple[str, torch.nn.Parameter]]) -> None:
        matrices, others = [], []
        for name, parameter in parameters:
            inner = parameter.ndim == 2 and "layers" in name
            (matrices if inner else others).append(parameter)
        self.muon = torch.optim.Muon(
            matrices,
            lr=MATRIX_RATE,
            weight_decay=0.02,
            momentum=0.95,
            ns_steps=5,
            adjust_lr_fn="match_rms_adamw",
        )
        self.adamw = torch.optim.AdamW(others, lr=OTHER_RATE, betas=(0.9, 0.98), weight_decay=0.0)
        self.all = [*matrices, *others]

    def step(self, scale: float) -> None:
        """Clip, move and clear; `scale` multiplies both rates."""
        torch.nn.utils.clip_grad_norm_(self.all, 1.0)
        for group in self.muon.param_groups:
            group["lr"] = MATRIX_RATE * scale
        for group in self.adamw.param_groups:
            group["lr"] = OTHER_RATE * scale
        self.muon.step()
        self.adamw.step()
        self.muon.zero_grad(set_to_none=True)
        self.adamw.zero_grad(set_to_none=True)

    def state_dict(self) -> dict[str, Any]:
        return {"muon": self.muon.state_dict(), "adamw": self.adamw.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.muon.load_state_dict(state["muon"])
        self.adamw.load_state_dict(state["adamw"])


def rate_at(step: int, total: int, *, warmup: int = 100, decay: float = 0.4, floor: float = 0.05) -> float:
    """Return the schedule's factor: a linear rise, a plateau, then a linear fall over the last `decay` share."""
    if step < warmup:
        return (step + 1) / warmup
    left = (total - step) / max(1.0, decay * total)
    return max(floor, min(1.0, left))
