"""`core.SamplingParams` to the pipeline's generation settings."""

from __future__ import annotations

import random

from openvino_genai import GenerationConfig, StructuredOutputConfig

from sightline.core import SamplingParams
from sightline.engines.genai.ebnf import answer_grammar

SEEDS = 2**32
"""The pipeline's random generator takes 32 bits of seed; a longer one is folded to that."""
_LEAST_TEMPERATURE = 1e-6  # the pipeline divides by it in 32 bits
_LEAST_TOP_P = 1e-6


def generation_config(sampling: SamplingParams, *, max_tokens: int, eos_ids: frozenset[int]) -> GenerationConfig:
    """Return the pipeline's settings for one request.

    Temperature 0 is greedy, and so is what is as good as 0. Without a seed each request draws its own. Stop strings are
    matched by us, on text.

    Raises:
        InvalidRequest: the answer's schema is missing, malformed or outside the supported part.
    """
    config = GenerationConfig()
    config.apply_chat_template = False
    config.max_new_tokens = max_tokens
    config.eos_token_id = min(eos_ids)
    config.stop_token_ids = set(eos_ids)
    config.do_sample = sampling.temperature >= _LEAST_TEMPERATURE
    if config.do_sample:
        config.temperature = sampling.temperature
        config.top_p = max(sampling.top_p, _LEAST_TOP_P)
        seed = random.getrandbits(32) if sampling.seed is None else sampling.seed
        config.rng_seed = seed % SEEDS
    config.frequency_penalty = sampling.frequency_penalty
    config.presence_penalty = sampling.presence_penalty
    # With it the pipeline reports the model's own probabilities, before penalties, temperature and grammar.
    config.logprobs = int(sampling.logprobs)
    grammar = answer_grammar(sampling.response_format)
    if grammar is not None:
        config.structured_output_config = StructuredOutputConfig(grammar=grammar)
    return config
