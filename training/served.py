"""Ask a served model as the service does: OpenVINO GenAI, greedy, many requests in flight.

In: images, each as its views (side, side, 3) uint8, a question, a layout. Out: the answers' text. No PyTorch. The
prompt is Gemma 3's template without <bos>, which the pipeline's tokenizer adds.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import openvino
import openvino_genai
from views import Pixels, spell_views

from sightline.prompting.format import quoted, repeated

MOST_TOKENS = 1024
"""Of an answer: more than any right one has. A caller who sets no limit gets as many as the context holds."""
IN_FLIGHT = 32


@dataclass(frozen=True, slots=True)
class Ask:
    """One first-turn request: images as their views, the text read on each; `schema` forces JSON by grammar.

    `again`: a question in front of its images is said once more behind them, as the service does for this model.
    """

    images: tuple[tuple[Pixels, ...], ...]
    question: str
    system: str = ""
    layout: str = "before"
    schema: dict[str, Any] | None = None
    readings: tuple[str, ...] = ()
    again: bool = False

    @property
    def views(self) -> list[Pixels]:
        return [view for views in self.images for view in views]


def prompt_of(ask: Ask, tag: str = "<ov_genai_image_{}>") -> str:
    """Return the prompt; `tag` is written where a view stands."""
    pictures, number = "", 0
    for views, reading in zip_longest(ask.images, ask.readings, fillvalue=""):
        tags = [tag.format(number + i) for i in range(len(views))]
        number += len(views)
        pictures += spell_views(tags) + quoted(reading)
    text = pictures + ask.question
    if ask.layout == "after":
        text = ask.question + pictures + (repeated(ask.question) if ask.again else "")
    system = f"{ask.system}\n\n" if ask.system else ""
    return f"<start_of_turn>user\n{system}{text}<end_of_turn>\n<start_of_turn>model\n"


class Served:
    """The model in a folder, loaded once."""

    def __init__(self, folder: Path, *, precision: str | None = None, most_tokens: int = MOST_TOKENS) -> None:
        self.most_tokens = most_tokens
        scheduler = openvino_genai.SchedulerConfig()
        scheduler.cache_size = 1
        hints = {"INFERENCE_PRECISION_HINT": precision} if precision else {}
        self.pipeline = openvino_genai.ContinuousBatchingPipeline(str(folder), scheduler, "CPU", hints)

    def answer(self, asks: Iterable[Ask]) -> Iterator[str]:
        """Give the greedy answers in the order asked, some at a time."""
        waiting = list(asks)
        for start in range(0, len(waiting), IN_FLIGHT):
            group = waiting[start : start + IN_FLIGHT]
            results = self.pipeline.generate(
                [prompt_of(ask) for ask in group],
                [[openvino.Tensor(view[None]) for view in ask.views] for ask in group],
                [settings(ask, self.most_tokens) for ask in group],
            )
            yield from (result.texts[0] for result in results)


def settings(ask: Ask, most_tokens: int) -> openvino_genai.GenerationConfig:
    config = openvino_genai.GenerationConfig()
    config.max_new_tokens = most_tokens
    config.apply_chat_template = False
    config.do_sample = False
    if ask.schema is not None:
        # Only the eval asks for JSON, and it runs with the service installed; PyTorch's environment has no service.
        from sightline.engines.genai.ebnf import grammar_of
        from sightline.engines.genai.schema import read_schema

        grammar = grammar_of(read_schema(json.dumps(ask.schema)))
        config.structured_output_config = openvino_genai.StructuredOutputConfig(grammar=grammar)
    return config
