"""What the tower is asked about every patch while it learns; thrown away afterwards.

In: the tower's patches, the tokens that the language model reads, and a chunk's labels. Out: losses, and shares right
on held-out pictures. The characters of four patches are asked of their token too, so that what the language model
gets holds them apart, although it is a mean; where a view is too small for print, none are asked. Shapes and
pictograms are asked where they are known.
"""

from __future__ import annotations

import torch
from drawing import MOST_COUNTED, UNASKED
from labels import CLASSES, SLOTS, UNKNOWN
from model import Sizes
from pictures import NAMES
from scenes import COLOUR_NAMES, SHAPE_NAMES
from torch import Tensor, nn
from torch.nn import functional

SHAPES_END = len(SHAPE_NAMES) + 1
COLOURS_END = SHAPES_END + len(COLOUR_NAMES) + 1
PLACE_END = COLOURS_END + 6
RELATIONS = 6
NOTHING_WEIGHT = 0.03
"""What an empty place for a character weighs: of fifty, one is taken by a character on a picture of few words."""


class Heads(nn.Module):
    """Linear maps from patches and tokens to characters, and from patches to shapes."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.side, self.pool, self.letters = sizes.side, sizes.pool, sizes.letters
        if self.letters:
            self.patch = nn.Linear(sizes.tower_width, SLOTS * CLASSES)
            self.token = nn.Linear(sizes.text_width, sizes.pool**2 * SLOTS * CLASSES)
        self.shapes = nn.Linear(sizes.tower_width, PLACE_END + RELATIONS * (MOST_COUNTED + 1))
        self.names = nn.Linear(sizes.tower_width, len(NAMES) + 1)
        weights = torch.ones(CLASSES)
        weights[0] = NOTHING_WEIGHT
        self.register_buffer("weights", weights, persistent=False)

    def losses(self, patches: Tensor, tokens: Tensor, chunk: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the losses by name: characters of patches, of tokens, and shapes and pictograms where they are."""
        found = self.character_losses(patches, tokens, chunk) if self.letters else {}
        if len(chunk["scenes"]):
            shown = patches[chunk["scenes"]]
            found["shapes"] = shape_loss(self.shapes(shown), chunk)
            found["names"] = name_loss(self.names(shown), chunk)
        return found

    def character_losses(self, patches: Tensor, tokens: Tensor, chunk: dict[str, Tensor]) -> dict[str, Tensor]:
        asked = chunk["asked"].long()
        wanted = choose(self.by_token(chunk["characters"]), asked)
        by_patch = self.patch(choose(self.by_token(patches), asked))
        by_token = self.token(choose(tokens, asked))
        return {"patch": self.character_loss(by_patch, wanted), "token": self.character_loss(by_token, wanted)}

    def by_token(self, patches: Tensor) -> Tensor:
        """Bring (n, patches, width) to (n, tokens, pool * pool, width)."""
        square = patches.unflatten(1, (self.side, self.pool, self.side, self.pool))
        return square.transpose(2, 3).flatten(3, 4).flatten(1, 2)

    def character_loss(self, logits: Tensor, wanted: Tensor) -> Tensor:
        flat = wanted.long().flatten()
        return functional.cross_entropy(
            logits.float().reshape(-1, CLASSES), flat, weight=self.weights, ignore_index=UNKNOWN
        )

    def measures(self, patches: Tensor, tokens: Tensor, chunk: dict[str, Tensor]) -> dict[str, tuple[int, int]]:
        """Return (right, asked): characters named right by patch and by token, whole patches, shapes, pictograms."""
        counted = self.characters_right(patches, tokens, chunk) if self.letters else {}
        if len(chunk["scenes"]):
            shown = patches[chunk["scenes"]]
            out, names = self.shapes(shown), self.names(shown).argmax(-1)
            centre = chunk["centre"] > 0
            thing, named = (chunk["shape"] > 0) & centre, (chunk["name"] > 0) & centre
            counted["shape"] = (out[..., :SHAPES_END].argmax(-1) == chunk["shape"])[thing]
            counted["colour"] = (out[..., SHAPES_END:COLOURS_END].argmax(-1) == chunk["colour"])[thing]
            counted["name"] = (names == chunk["name"])[named]
        return {name: (int(hits.sum()), hits.numel()) for name, hits in counted.items()}

    def characters_right(self, patches: Tensor, tokens: Tensor, chunk: dict[str, Tensor]) -> dict[str, Tensor]:
        wanted = self.by_token(chunk["characters"])
        printed, known = (wanted > 0) & (wanted != UNKNOWN), wanted[..., 0] != UNKNOWN
        shape = (*wanted.shape[:3], SLOTS, CLASSES)
        by_patch = self.patch(self.by_token(patches)).view(shape).argmax(-1) == wanted
        by_token = self.token(tokens).view(shape).argmax(-1) == wanted
        busy = known & printed.any(-1)
        return {
            "patch": by_patch[printed],
            "token": by_token[printed],
            "whole": by_token.all(-1)[busy],
            "empty": by_token.all(-1)[known & ~busy],
        }


def choose(values: Tensor, asked: Tensor) -> Tensor:
    """Take from each picture the tokens asked about: (n, tokens, …) and (n, asked) → (n, asked, …)."""
    return values[torch.arange(len(asked), device=asked.device)[:, None], asked]


def shape_loss(out: Tensor, chunk: dict[str, Tensor]) -> Tensor:
    """Return the summed loss over shape, colour, centre, offset and relations; `out` is (scenes, patches, values)."""
    out = out.float().flatten(0, 1)
    shape, colour = chunk["shape"].long().flatten(), chunk["colour"].long().flatten()
    thing = (shape != 0).float()
    weight = 0.3 + 0.7 * thing
    kind = functional.cross_entropy(out[:, :SHAPES_END], shape, reduction="none")
    paint = functional.cross_entropy(out[:, SHAPES_END:COLOURS_END], colour, reduction="none")
    centre = functional.binary_cross_entropy_with_logits(
        out[:, COLOURS_END], chunk["centre"].float().flatten(), pos_weight=torch.tensor(5.0, device=out.device)
    )
    way = (out[:, COLOURS_END + 1 : PLACE_END] - 5 * chunk["offset"].float().flatten(0, 1)).abs().sum(-1)
    related = out[:, PLACE_END:].unflatten(1, (RELATIONS, -1)).transpose(1, 2)
    relations = functional.cross_entropy(related, chunk["relations"].long().flatten(0, 1), ignore_index=UNASKED)
    return ((kind + paint) * weight).mean() + centre + (way * thing).mean() + relations


def name_loss(out: Tensor, chunk: dict[str, Tensor]) -> Tensor:
    """Return the loss over pictograms' names, which few patches have; `out` is (scenes, patches, names + 1)."""
    name = chunk["name"].long().flatten()
    loss = functional.cross_entropy(out.float().flatten(0, 1), name, reduction="none")
    weight = torch.where(name > 0, 1.0, NOTHING_WEIGHT)
    return (loss * weight).sum() / weight.sum()
