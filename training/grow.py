"""Begin a larger model with what a smaller one knows: run once before train.py, on two cores, where hours count.

In: the folder of a checkpoint in Transformers' format and its tokenizer. Out: weights for `train.py --start`. The tower
keeps its weights and sees more patches, its learned places stretched over them; the language model keeps its layers,
spread among new ones that begin nearly silent; pieces that both tokenizers have keep their embeddings.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import torch
from model import SIZES
from network import Network
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

LAYERS = "model.language_model.layers."
QUIET = -0.9
"""Weight of a new layer's last norms: it adds a tenth of what it would."""
Pieces = Mapping[str, int]


def places(old: int, new: int) -> dict[int, int]:
    """Return which new layer begins as which old one: the first as the first, spread evenly."""
    return {number * new // old: number for number in range(old)}


@torch.no_grad()
def grow(net: Network, weights: Mapping[str, Tensor], pieces: Pieces, known: Pieces) -> None:
    """Fill `net` with `weights` of a model of the same widths; `pieces` and `known` are the vocabularies of both."""
    old_layers = 1 + max(int(name.split(".")[3]) for name in weights if name.startswith(LAYERS))
    begins_as = places(old_layers, net.sizes.text_layers)
    for name, parameter in net.named_parameters():
        if name.startswith(LAYERS):
            number, _, rest = name.removeprefix(LAYERS).partition(".")
            if int(number) in begins_as:
                parameter.copy_(weights[f"{LAYERS}{begins_as[int(number)]}.{rest}"])
            elif rest.startswith("post_") and "layernorm" in rest:
                parameter.fill_(QUIET)
        elif name.endswith("embed_tokens.weight"):
            for piece, row in pieces.items():
                if piece in known:
                    parameter[row] = weights[name][known[piece]]
        elif name.endswith("position_embedding.weight"):
            parameter.copy_(stretched(weights[name], net.sizes.grid))
        else:
            parameter.copy_(weights[name])


def stretched(learned: Tensor, grid: int) -> Tensor:
    """Stretch learned places (n * n, width) over (grid * grid, width)."""
    side = round(len(learned) ** 0.5)
    square = learned.T.reshape(1, -1, side, side)
    wide = functional.interpolate(square, (grid, grid), mode="bicubic", align_corners=False)
    return wide.reshape(-1, grid * grid).T


def name_here(name: str) -> str:
    """Return network.py's name of a weight: Transformers has had others for the parts of the same model."""
    return "model." + name.removeprefix("model.").replace("language_model.model.", "language_model.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path(__file__).parent / "runs")
    parser.add_argument("--old", type=Path, help="folder of the checkpoint; default: runs/peek-10m")
    parser.add_argument("--sizes", choices=SIZES, default="light")
    parser.add_argument("--to", type=Path, help="default: runs/grown.pt")
    options = parser.parse_args()
    old = options.old or options.runs / "peek-10m"
    vocabularies = [
        Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab() for folder in (options.runs / "tokenizer", old)
    ]
    weights = {name_here(name): weight.float() for name, weight in load_file(old / "model.safetensors").items()}
    net = Network(SIZES[options.sizes], len(vocabularies[0]))
    net.start(0)
    grow(net, weights, *vocabularies)
    torch.save(net.state_dict(), options.to or options.runs / "grown.pt")
    shared = len(vocabularies[0].keys() & vocabularies[1].keys())
    print(f"{sum(one.numel() for one in net.parameters()) / 1e6:.1f}M, {shared} of {len(vocabularies[0])} pieces known")


if __name__ == "__main__":
    main()
