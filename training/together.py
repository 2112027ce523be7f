"""Several single-threaded processes that train as one: each has its own samples, all share the gradients' mean.

Two processes of one thread wait for each other once a step; one process of two threads waits at every operation, and
on a machine whose cores others use too that was three times slower (README.md). Started by train.py's --world.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import distributed


class Together:
    """This process's place among `world` equals; a world of one does nothing."""

    def __init__(self, meeting: Path, *, rank: int, world: int) -> None:
        self.rank, self.world = rank, world
        if world > 1:
            distributed.init_process_group("gloo", init_method=meeting.resolve().as_uri(), rank=rank, world_size=world)

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def share_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Replace every gradient by the mean over all processes."""
        if self.world == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        flat /= self.world
        for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))
