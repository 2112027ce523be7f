"""Loads a model into a continuous-batching pipeline, sized to the machine's share that it was given."""

from __future__ import annotations

import math
from dataclasses import dataclass

from openvino_genai import ContinuousBatchingPipeline, SchedulerConfig, Tokenizer

from sightline.engines.genai.answer import Vocabulary
from sightline.engines.genai.model import DEFAULT_MAX_CONTEXT, Model
from sightline.engines.genai.model_patches import patched_folder
from sightline.engines.genai.pipeline import BLOCK_TOKENS, PIPELINE_FAILURES, Capacity
from sightline.engines.genai.template import PromptWriter
from sightline.engines.genai.tokens import TokenCounter, prepare
from sightline.engines.genai.vision import VisionEncoder, load_encoder
from sightline.errors import ConfigError

# Tokenizing, looking up embeddings and unpacking features take less than waking another thread for them does.
_ALONE = {"INFERENCE_NUM_THREADS": 1}


@dataclass(frozen=True, slots=True)
class Limits:
    """What one engine may use.

    `max_context` caps the model's own context length, in tokens, since a prompt is computed in one step and held
    whole in the cache. `max_running` and `max_queued` count requests; beyond them requests wait and are refused.
    `cache_gb` bounds the key-value cache, in GiB; less is taken where less is enough for `max_running` requests.
    `encoder_cache_bytes` is for what the vision encoder made of the images of past requests.
    `prefix_caching` keeps keys and values of prompts' beginnings in that cache, for all keys together: who may ask can
    tell by the time to the first token whether a prompt began like another's. It is for services whose keys trust
    each other.
    `precision` of the arithmetic is `f32` or `bf16`; by default OpenVINO takes the fastest that the machine has.
    """

    max_context: int = DEFAULT_MAX_CONTEXT
    max_running: int = 16
    max_queued: int = 256
    cache_gb: float = 2.0
    encoder_cache_bytes: int = 64_000_000
    prefix_caching: bool = False
    device: str = "CPU"
    precision: str | None = None


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model ready to run, and what writes its prompts and reads its tokens.

    No token stands for more than `longest_bytes` of a text.
    """

    model: Model
    pipeline: ContinuousBatchingPipeline
    capacity: Capacity
    vision: VisionEncoder
    writer: PromptWriter
    counter: TokenCounter
    vocabulary: Vocabulary
    longest_bytes: int


def load(model: Model, limits: Limits) -> Loaded:
    """Load `model`; takes seconds.

    Raises:
        ConfigError: the files cannot be loaded, or the cache cannot hold one request of full length.
    """
    capacity = plan(model, limits)
    try:
        arithmetic = {} if limits.precision is None else {"INFERENCE_PRECISION_HINT": limits.precision}
        vision = load_encoder(model, limits.device, arithmetic)
        alone = _ALONE if limits.device == "CPU" else {}
        with patched_folder(model) as (folder, vocabulary):
            pipeline = ContinuousBatchingPipeline(
                folder,
                _scheduling(capacity, limits),
                limits.device,
                arithmetic | ({"MODEL_PROPERTIES": {"text_embeddings": _ALONE}} if alone else {}),
                _ALONE,
                {"INFERENCE_PRECISION_HINT": "f32"} | alone,
            )
        writer, counter = prepare(Tokenizer(model.path, **_ALONE), model)
    except PIPELINE_FAILURES as error:
        raise ConfigError(f"{model.path}: OpenVINO cannot load this model on {limits.device}") from error
    longest_bytes = max(map(len, vocabulary.pieces))
    return Loaded(model, pipeline, capacity, vision, writer, counter, vocabulary, longest_bytes)


def plan(model: Model, limits: Limits) -> Capacity:
    """Return what fits: a cache for `max_running` requests of full length, or as much of it as `cache_gb` allows.

    Raises:
        ConfigError: not even one request fits.
    """
    blocks_a_request = model.info.context_length // BLOCK_TOKENS + 1
    affordable = int(limits.cache_gb * 2**30) // (model.cache_bytes_a_token * BLOCK_TOKENS)
    if affordable < blocks_a_request:
        needed_gb = math.ceil(blocks_a_request * BLOCK_TOKENS * model.cache_bytes_a_token / 2**30 * 10) / 10
        raise ConfigError(
            f"{model.info.id}: a cache of {limits.cache_gb:g} GiB cannot hold one request of "
            f"{model.info.context_length:,} tokens; allow {needed_gb:.1f} GiB (cache_gb) or lower max_context"
        )
    return Capacity(
        running=limits.max_running,
        step_tokens=model.info.context_length + limits.max_running,
        blocks=min(affordable, blocks_a_request * limits.max_running),
    )


def _scheduling(capacity: Capacity, limits: Limits) -> SchedulerConfig:
    config = SchedulerConfig()
    config.max_num_batched_tokens = capacity.step_tokens
    config.max_num_seqs = capacity.running
    config.num_kv_blocks = capacity.blocks
    config.dynamic_split_fuse = True
    config.enable_prefix_caching = limits.prefix_caching
    return config
