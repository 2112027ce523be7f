"""How weights move: Muon for the matrices inside the layers, AdamW for everything else, one schedule for both.

In: named parameters. Out: one object with `step` and a state that a checkpoint can hold, and a running mean of the
weights. Muon (momentum made orthogonal; Jordan et al. 2024) needed about half as many pictures as AdamW here. It is
written out, matrices of one shape together, since one at a time they are too small to fill a GPU.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

MATRIX_RATE = 2e-3
OTHER_RATE = 1e-3
MOMENTUM = 0.95
MATRIX_DECAY = 0.02
LONGEST_GRADIENT = 1.0


class Optimiser:
    """Muon and AdamW side by side, their rates scaled together."""

    def __init__(self, parameters: Iterable[tuple[str, torch.nn.Parameter]]) -> None:
        matrices, others = [], []
        for name, parameter in parameters:
            (matrices if parameter.ndim == 2 and ".layers." in name else others).append(parameter)
        self.matrices, self.all = matrices, [*matrices, *others]
        self.momenta = [torch.zeros_like(matrix) for matrix in matrices]
        fused = bool(others) and others[0].is_cuda
        self.adamw = torch.optim.AdamW(others, lr=OTHER_RATE, betas=(0.9, 0.98), weight_decay=0.0, fused=fused)

    def step(self, scale: float) -> Tensor:
        """Clip, move and clear; `scale` multiplies both rates. Return the gradient's length."""
        length = torch.nn.utils.clip_grad_norm_(self.all, LONGEST_GRADIENT)
        for parameter in self.all:  # One batch whose gradient is not a number must not end the run.
            if parameter.grad is not None:
                parameter.grad.nan_to_num_(0.0, 0.0, 0.0)
        self.move_matrices(MATRIX_RATE * scale)
        for group in self.adamw.param_groups:
            group["lr"] = OTHER_RATE * scale
        self.adamw.step()
        for parameter in self.all:
            parameter.grad = None
        return length

    @torch.no_grad()
    def move_matrices(self, rate: float) -> None:
        """Move every matrix along its orthogonal momentum, its root mean square that of an AdamW step."""
        alike: dict[torch.Size, list[tuple[Tensor, Tensor]]] = defaultdict(list)
        for matrix, momentum in zip(self.matrices, self.momenta, strict=True):
            if matrix.grad is None:
                continue
            momentum.lerp_(matrix.grad, 1 - MOMENTUM)
            alike[matrix.shape].append((matrix, matrix.grad.lerp(momentum, MOMENTUM)))
        for shape, group in alike.items():
            ways = orthogonal(torch.stack([way for _, way in group]))
            length = 0.2 * max(shape) ** 0.5
            for (matrix, _), way in zip(group, ways, strict=True):
                matrix.mul_(1 - rate * MATRIX_DECAY).add_(way.to(matrix.dtype), alpha=-rate * length)

    def state_dict(self) -> dict[str, Any]:
        return {"momenta": self.momenta, "adamw": self.adamw.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for momentum, kept in zip(self.momenta, state["momenta"], strict=True):
            momentum.copy_(kept)
        self.adamw.load_state_dict(state["adamw"])


def orthogonal(ways: Tensor) -> Tensor:
    """Return (n, rows, columns) matrices with their singular values brought near 1, by five Newton-Schulz steps."""
    x = ways.bfloat16()
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    x = x / (x.float().norm(dim=(1, 2), keepdim=True) + 1e-7).to(x.dtype)
    for _ in range(5):
        square = x @ x.mT
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x.mT if tall else x


class Mean:
    """A running mean of the weights, which answers better than the weights of any one step."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.module = module
        self.mean = [parameter.detach().clone().float() for parameter in module.parameters()]
        self.steps = 0

    @torch.no_grad()
    def add(self, steps: int = 1, *, most: float = 0.998) -> None:
        """Take in the weights after `steps` more steps; a young mean forgets faster, so that it is never stale."""
        self.steps += steps
        keep = min(most**steps, (self.steps / (self.steps + 10.0)) ** 2)
        weights = [parameter.detach().float() for parameter in self.module.parameters()]
        torch._foreach_lerp_(self.mean, weights, 1 - keep)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the module's weights and their mean."""
        for parameter, mean in zip(self.module.parameters(), self.mean, strict=True):
            now = parameter.detach().clone()
            parameter.copy_(mean)
            mean.copy_(now)

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps, "mean": self.mean}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.steps = int(state["steps"])
        for mean, kept in zip(self.mean, state["mean"], strict=True):
            mean.copy_(kept)


def rate_at(progress: float, *, warmup: float = 0.02, decay: float = 0.5, floor: float = 0.02) -> float:
    """Return the schedule's factor at `progress` (0 to 1): a linear rise, a plateau, then a linear fall."""
    if progress < warmup:
        return max(0.02, progress / warmup)
    fallen = min(1.0, max(0.0, (progress - (1 - decay)) / decay))
    return floor + (1 - floor) * (1 - fallen)
