"""Gemma 3's vision model in plain PyTorch: what training runs on.

In: `Sizes` and the number of pieces of the tokenizer. Out: modules whose parameters carry the names, and whose
outputs the values, of Transformers' `Gemma3ForConditionalGeneration` (tests/training compares them), so that a
checkpoint loads there as it is. Written out here because training must run under whatever Transformers a machine
has, and because a layer written for one use compiles. Pictures come as uint8, rows of tokens with their own mask.

Source: Transformers' modeling_gemma3.py and modeling_siglip.py; https://arxiv.org/abs/2503.19786.
"""

from __future__ import annotations

import torch
from model import EPSILON, HEAD, ROPE_BASE, Sizes, key_heads
from torch import Tensor, nn
from torch.nn import functional

PLACES = 192
"""Places of a row that look around at a time, on a CPU."""


class Norm(nn.Module):
    """Gemma's norm: divides by the root of the mean square, in 32 bits; a weight of 0 means a factor of 1."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        normed = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + EPSILON)
        return (normed * (1.0 + self.weight.float())).to(x.dtype)


class LookAttention(nn.Module):
    """Every patch looks at every patch."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = width // HEAD
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(width, width) for _ in range(3))
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (split_heads(project(x), self.heads) for project in (self.q_proj, self.k_proj, self.v_proj))
        seen = attend(q, k, v)
        return self.out_proj(seen.transpose(1, 2).flatten(2))


class LookInner(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(functional.gelu(self.fc1(x), approximate="tanh"))


class LookLayer(nn.Module):
    """One layer of the tower."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer_norm1, self.layer_norm2 = nn.LayerNorm(width, EPSILON), nn.LayerNorm(width, EPSILON)
        self.self_attn, self.mlp = LookAttention(width), LookInner(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class Tower(nn.Module):
    """Pictures (n, side, side, 3) uint8 → (n, patches, width)."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width = sizes.tower_width
        self.grid, self.patch = sizes.grid, sizes.patch_px
        self.embeddings = nn.Module()
        self.embeddings.patch_embedding = nn.Conv2d(3, width, sizes.patch_px, sizes.patch_px)
        self.embeddings.position_embedding = nn.Embedding(sizes.grid**2, width)
        self.encoder = nn.Module()
        self.encoder.layers = nn.ModuleList(LookLayer(width) for _ in range(sizes.tower_layers))
        self.post_layernorm = nn.LayerNorm(width, EPSILON)

    def forward(self, pictures: Tensor) -> Tensor:
        conv = self.embeddings.patch_embedding
        patches = cut(pictures, self.grid, self.patch).to(conv.weight.dtype) / 127.5 - 1.0
        x = functional.linear(patches, conv.weight.flatten(1), conv.bias)
        x = x + self.embeddings.position_embedding.weight.to(x.dtype)
        for layer in self.encoder.layers:
            x = layer(x)
        return self.post_layernorm(x)


def cut(pictures: Tensor, grid: int, patch: int) -> Tensor:
    """Cut (n, side, side, 3) into (n, patches, 3 * patch * patch), colours first, as a convolution's weights lie."""
    pieces = pictures.view(-1, grid, patch, grid, patch, 3)
    return pieces.permute(0, 1, 3, 5, 2, 4).reshape(pictures.shape[0], grid * grid, 3 * patch * patch)


class Projector(nn.Module):
    """(n, patches, tower width) → (n, tokens, text width): means of neighbours, a norm, a matrix."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.side, self.pool = sizes.side, sizes.pool
        self.mm_input_projection_weight = nn.Parameter(torch.empty(sizes.tower_width, sizes.text_width))
        self.mm_soft_emb_norm = Norm(sizes.tower_width)

    def forward(self, patches: Tensor) -> Tensor:
        square = patches.view(-1, self.side, self.pool, self.side, self.pool, patches.shape[-1])
        tokens = self.mm_soft_emb_norm(square.mean((2, 4)).flatten(1, 2))
        return tokens @ self.mm_input_projection_weight.to(tokens.dtype)


class SpeakAttention(nn.Module):
    """Tokens look where the mask allows; several heads that ask share one head of keys."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width, keys = sizes.text_width, key_heads(sizes)
        self.heads, self.keys, self.ahead = width // HEAD, keys, sizes.image_tokens
        self.q_proj = nn.Linear(width, width, bias=False)
        self.k_proj, self.v_proj = (nn.Linear(width, keys * HEAD, bias=False) for _ in range(2))
        self.o_proj = nn.Linear(width, width, bias=False)
        self.q_norm, self.k_norm = Norm(HEAD), Norm(HEAD)

    def forward(self, x: Tensor, turns: tuple[Tensor, Tensor], mask: Tensor) -> Tensor:
        q = turn(self.q_norm(split_heads(self.q_proj(x), self.heads)), turns)
        k = turn(self.k_norm(split_heads(self.k_proj(x), self.keys)), turns)
        v = split_heads(self.v_proj(x), self.keys)
        share = self.heads // self.keys
        k, v = k.repeat_interleave(share, dim=1), v.repeat_interleave(share, dim=1)
        seen = attend(q, k, v, mask, self.ahead)
        return self.o_proj(seen.transpose(1, 2).flatten(2))


class SpeakInner(nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.gate_proj, self.up_proj = (nn.Linear(width, inner, bias=False) for _ in range(2))
        self.down_proj = nn.Linear(inner, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(functional.gelu(self.gate_proj(x), approximate="tanh") * self.up_proj(x))


class SpeakLayer(nn.Module):
    """One layer of the language model."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width = sizes.text_width
        self.self_attn, self.mlp = SpeakAttention(sizes), SpeakInner(width, sizes.text_inner)
        self.input_layernorm, self.post_attention_layernorm = Norm(width), Norm(width)
        self.pre_feedforward_layernorm, self.post_feedforward_layernorm = Norm(width), Norm(width)

    def forward(self, x: Tensor, turns: tuple[Tensor, Tensor], mask: Tensor) -> Tensor:
        x = x + self.post_attention_layernorm(self.self_attn(self.input_layernorm(x), turns, mask))
        return x + self.post_feedforward_layernorm(self.mlp(self.pre_feedforward_layernorm(x)))


class Language(nn.Module):
    """Embedded tokens (rows, length, width), their positions and what each may look at → the same shape."""

    def __init__(self, sizes: Sizes, pieces: int) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(pieces, sizes.text_width)
        self.layers = nn.ModuleList(SpeakLayer(sizes) for _ in range(sizes.text_layers))
        self.norm = Norm(sizes.text_width)

    def embed(self, ids: Tensor) -> Tensor:
        return self.embed_tokens(ids) * self.embed_tokens.embedding_dim**0.5

    def forward(self, x: Tensor, positions: Tensor, allowed: Tensor) -> Tensor:
        turns = rotations(positions, x.dtype)
        mask = torch.zeros_like(allowed, dtype=x.dtype).masked_fill(~allowed, float("-inf"))
        for layer in self.layers:
            x = layer(x, turns, mask)
        return self.norm(x)


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, ahead: int = 0) -> Tensor:
    """Return what each place takes from those it looks at, under a mask none more than `ahead` places further on.

    Written out on a CPU, where it takes two thirds as long, and some places at a time, so that what all of them come
    before is left out: a quarter of the work.
    """
    if q.is_cuda:
        return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    q = q * HEAD**-0.5
    if mask is None:
        return (q @ k.mT).softmax(-1) @ v
    parts = []
    for start in range(0, q.shape[2], PLACES):
        end = start + PLACES
        looks = q[:, :, start:end] @ k[:, :, : end + ahead].mT + mask[:, :, start:end, : end + ahead]
        parts.append(looks.softmax(-1) @ v[:, :, : end + ahead])
    return torch.cat(parts, 2)


def split_heads(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(-1, (heads, HEAD)).transpose(1, 2)


def rotations(positions: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return cosines and sines (rows, 1, length, head) of the rotary position code."""
    powers = torch.arange(0, HEAD, 2, device=positions.device, dtype=torch.float32) / HEAD
    angles = positions.float()[:, None, :, None] * ROPE_BASE**-powers
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos().to(dtype), angles.sin().to(dtype)


def turn(x: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return x * turns[0] + torch.cat([-second, first], dim=-1) * turns[1]


class Network(nn.Module):
    """The whole model, with the names that Transformers gives its parts."""

    def __init__(self, sizes: Sizes, pieces: int) -> None:
        super().__init__()
        self.sizes = sizes
        self.model = nn.Module()
        self.model.vision_tower = nn.Module()
        self.model.vision_tower.vision_model = Tower(sizes)
        self.model.multi_modal_projector = Projector(sizes)
        self.model.language_model = Language(sizes, pieces)

    @property
    def tower(self) -> Tower:
        return self.model.vision_tower.vision_model

    @property
    def projector(self) -> Projector:
        return self.model.multi_modal_projector

    @property
    def language(self) -> Language:
        return self.model.language_model

    def start(self, seed: int) -> None:
        """Draw the first weights; the tower's positions begin as a two-dimensional sine grid."""
        random = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if parameter.ndim < 2:
                    parameter.fill_(1.0 if "layer_norm" in name or "post_layernorm" in name else 0.0)
                    if name.endswith("bias"):
                        parameter.zero_()
                else:
                    inputs = parameter[0].numel()
                    parameter.normal_(0.0, min(0.05, 0.6 * inputs**-0.5), generator=random)
            self.language.embed_tokens.weight.normal_(0.0, 0.02, generator=random)
            self.projector.mm_input_projection_weight.normal_(0.0, self.sizes.tower_width**-0.5, generator=random)
            self.tower.embeddings.position_embedding.weight.copy_(
                0.5 * sine_grid(self.sizes.grid, self.sizes.tower_width)
            )

    def see(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Return the tower's patches and the tokens that the language model reads."""
        patches = self.tower(pictures)
        return patches, self.projector(patches)

    def speak(self, tokens: Tensor, rows: dict[str, Tensor]) -> Tensor:
        """Return the hidden state (rows, length, width); `rows` holds ids, positions, slots, segments and blocks.

        `slots` counts through the tokens of all pictures, -1 where text stands.
        """
        slots = rows["slots"].long()
        text = self.language.embed(rows["ids"].long()).to(tokens.dtype)
        shown = tokens.flatten(0, 1)[slots.clamp(min=0)]
        x = torch.where((slots >= 0)[..., None], shown, text)
        return self.language(x, rows["positions"], attention_allowed(rows["segments"], rows["blocks"]))

    def score(self, hidden: Tensor) -> Tensor:
        """Return the logits of hidden states."""
        return functional.linear(hidden, self.language.embed_tokens.weight.to(hidden.dtype))


SEGMENTS = 64
"""Segments of one sample: `segment // SEGMENTS` is the sample in its row, `segment % SEGMENTS` the turn, 0 for all."""


def attention_allowed(segments: Tensor, blocks: Tensor) -> Tensor:
    """Return (rows, 1, length, length): what each token may look at.

    Within its sample, what is common to all turns and its own turn so far; and all of its own picture.
    """
    here, there = segments[:, :, None].int(), segments[:, None, :].int()
    causal = torch.ones(segments.shape[1], segments.shape[1], dtype=torch.bool, device=segments.device).tril()
    same = here.div(SEGMENTS, rounding_mode="floor") == there.div(SEGMENTS, rounding_mode="floor")
    seen = causal & same & ((there % SEGMENTS == 0) | (there == here))
    block = blocks.int()
    return (seen | ((block[:, :, None] == block[:, None, :]) & (block[:, :, None] > 0)))[:, None]


def sine_grid(side: int, width: int) -> Tensor:
    """Return (side * side, width) position codes: half for the row, half for the column."""
    frequency = 1.0 / 100 ** (torch.arange(width // 4) / (width // 4))
    angle = torch.arange(side)[:, None] * frequency[None]
    line = torch.cat([angle.sin(), angle.cos()], dim=1)
    rows = line[:, None].expand(side, side, -1)
    columns = line[None].expand(side, side, -1)
    return torch.cat([rows, columns], dim=-1).reshape(side * side, width)
