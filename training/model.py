"""The second step: an untrained Gemma 3 vision model in Transformers' own classes, and its sizes.

In: a tokenizer and `Sizes`. Out: `Gemma3ForConditionalGeneration`, for export and for comparing; training itself runs
on network.py, which computes the same with the same names and needs no Transformers. A later, larger model changes
`FULL` and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokenizer import END_OF_IMAGE, END_OF_TURN, IMAGE, START_OF_IMAGE

if TYPE_CHECKING:
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration, PreTrainedTokenizerFast

HEAD = 64
"""Numbers in one head of attention, in the tower and in the language model."""
EPSILON = 1e-6
ROPE_BASE = 10_000.0


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large a model is: the picture in pixels, patches and tokens, and the two halves."""

    name: str
    image_px: int = 448
    patch_px: int = 14
    pool: int = 2
    """So many patches by so many become one token."""
    tower_width: int = 384
    tower_layers: int = 8
    text_width: int = 384
    text_layers: int = 7
    text_inner: int = 1152
    key_heads: int = 2
    context_tokens: int = 4096
    letters: bool = True
    """Whether a view shows print: its patches are asked for characters, and closer views are taken."""

    @property
    def grid(self) -> int:
        """Patches along one side."""
        return self.image_px // self.patch_px

    @property
    def side(self) -> int:
        """Tokens along one side."""
        return self.grid // self.pool

    @property
    def image_tokens(self) -> int:
        return self.side**2

    @property
    def patch_values(self) -> int:
        return 3 * self.patch_px**2


FULL = Sizes("full")
SMALL = Sizes("small", image_px=224, tower_width=192, tower_layers=4, text_width=192, text_layers=3, text_inner=512)
TINY = Sizes("tiny", image_px=112, tower_width=64, tower_layers=1, text_width=64, text_layers=1, text_inner=128)
LIGHT = Sizes(
    "light",
    288,
    patch_px=16,
    tower_width=256,
    tower_layers=6,
    text_width=256,
    text_layers=8,
    text_inner=768,
    letters=False,
)
SIZES = {sizes.name: sizes for sizes in (FULL, LIGHT, SMALL, TINY)}


def build_config(sizes: Sizes, tokenizer: PreTrainedTokenizerFast) -> Gemma3Config:
    """Return Transformers' configuration of a model of these sizes for this tokenizer's vocabulary."""
    from transformers import Gemma3Config, Gemma3TextConfig, SiglipVisionConfig

    vision = SiglipVisionConfig(
        hidden_size=sizes.tower_width,
        intermediate_size=4 * sizes.tower_width,
        num_hidden_layers=sizes.tower_layers,
        num_attention_heads=sizes.tower_width // HEAD,
        image_size=sizes.image_px,
        patch_size=sizes.patch_px,
        layer_norm_eps=EPSILON,
        vision_use_head=False,
    )
    text = Gemma3TextConfig(
        vocab_size=len(tokenizer),
        hidden_size=sizes.text_width,
        intermediate_size=sizes.text_inner,
        num_hidden_layers=sizes.text_layers,
        num_attention_heads=sizes.text_width // HEAD,
        num_key_value_heads=key_heads(sizes),
        head_dim=HEAD,
        query_pre_attn_scalar=HEAD,
        rms_norm_eps=EPSILON,
        max_position_embeddings=sizes.context_tokens,
        sliding_window=sizes.context_tokens,
        layer_types=["full_attention"] * sizes.text_layers,
        rope_parameters={
            kind: {"rope_type": "default", "rope_theta": ROPE_BASE} for kind in ("full_attention", "sliding_attention")
        },
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return Gemma3Config(
        text_config=text,
        vision_config=vision,
        mm_tokens_per_image=sizes.image_tokens,
        boi_token_index=tokenizer.convert_tokens_to_ids(START_OF_IMAGE),
        eoi_token_index=tokenizer.convert_tokens_to_ids(END_OF_IMAGE),
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
        eos_token_id=ending(tokenizer),
        architectures=["Gemma3ForConditionalGeneration"],
    )


def key_heads(sizes: Sizes) -> int:
    """Return how many heads have keys of their own: a divisor of the heads that ask."""
    heads = sizes.text_width // HEAD
    return sizes.key_heads if heads % sizes.key_heads == 0 else 1


def ending(tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """Return the tokens that end an answer."""
    return [int(tokenizer.eos_token_id), int(tokenizer.convert_tokens_to_ids(END_OF_TURN))]


def build_model(sizes: Sizes, tokenizer: PreTrainedTokenizerFast) -> Gemma3ForConditionalGeneration:
    """Return the untrained model in Transformers' classes, with the settings that greedy generation needs."""
    from transformers import Gemma3ForConditionalGeneration, GenerationConfig

    model = Gemma3ForConditionalGeneration(build_config(sizes, tokenizer))
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=ending(tokenizer),
        do_sample=False,
    )
    return model.eval()
