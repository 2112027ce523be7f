"""The second step: an untrained Gemma 3 vision model of about 10M parameters, and what is kept beside its weights.

In: a tokenizer. Out: `Gemma3ForConditionalGeneration`, its image processor and its generation settings. Half of the
parameters look (a SigLIP tower), half speak. Every size lives in the constants below; a later, larger model changes
those and nothing else.
"""

from __future__ import annotations

import torch
from tokenizer import END_OF_IMAGE, END_OF_TURN, IMAGE, START_OF_IMAGE
from transformers import (
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Gemma3TextConfig,
    GenerationConfig,
    PreTrainedTokenizerFast,
    SiglipVisionConfig,
    SiglipVisionModel,
)

IMAGE_PX = 192
PATCH_PX = 16
GRID = IMAGE_PX // PATCH_PX
IMAGE_TOKENS = (GRID // 2) ** 2
WIDTH = 256
CONTEXT_TOKENS = 2048


def vision_config() -> SiglipVisionConfig:
    """Return the tower's sizes: about half of the parameters."""
    return SiglipVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=4 * WIDTH,
        num_hidden_layers=6,
        num_attention_heads=4,
        image_size=IMAGE_PX,
        patch_size=PATCH_PX,
        vision_use_head=False,
    )


def build_config(tokenizer: PreTrainedTokenizerFast) -> Gemma3Config:
    """Return the sizes of the bundled model for this tokenizer's vocabulary."""
    text = Gemma3TextConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=768,
        num_hidden_layers=5,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=64,
        query_pre_attn_scalar=64,
        max_position_embeddings=CONTEXT_TOKENS,
        sliding_window=CONTEXT_TOKENS,
        layer_types=["full_attention"] * 5,
        rope_parameters={
            kind: {"rope_type": "default", "rope_theta": 10_000.0} for kind in ("full_attention", "sliding_attention")
        },
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return Gemma3Config(
        text_config=text,
        vision_config=vision_config(),
        mm_tokens_per_image=IMAGE_TOKENS,
        boi_token_index=tokenizer.convert_tokens_to_ids(START_OF_IMAGE),
        eoi_token_index=tokenizer.convert_tokens_to_ids(END_OF_IMAGE),
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
        eos_token_id=[tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids(END_OF_TURN)],
        architectures=["Gemma3ForConditionalGeneration"],
    )


def build_model(tokenizer: PreTrainedTokenizerFast, seed: int) -> Gemma3ForConditionalGeneration:
    """Return the untrained model; the tower's position embeddings start as a two-dimensional sine grid."""
    torch.manual_seed(seed)
    model = Gemma3ForConditionalGeneration(build_config(tokenizer))
    torch.nn.init.normal_(model.model.multi_modal_projector.mm_input_projection_weight, std=WIDTH**-0.5)
    start_positions(model.model.vision_tower)
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=[tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids(END_OF_TURN)],
        do_sample=False,
    )
    return model


def start_positions(tower: SiglipVisionModel) -> None:
    """Set the tower's learned position embeddings to a sine grid, so that places are easy from the first step."""
    with torch.no_grad():
        tower.vision_model.embeddings.position_embedding.weight.copy_(0.5 * sine_grid(GRID, WIDTH))


def sine_grid(side: int, width: int) -> torch.Tensor:
    """Return (side * side, width) position codes: half for the row, half for the column."""
    frequency = 1.0 / 100 ** (torch.arange(width // 4) / (width // 4))
    angle = torch.arange(side)[:, None] * frequency[None]
    line = torch.cat([angle.sin(), angle.cos()], dim=1)
    rows = line[:, None].expand(side, side, -1)
    columns = line[None].expand(side, side, -1)
    return torch.cat([rows, columns], dim=-1).reshape(side * side, width)
