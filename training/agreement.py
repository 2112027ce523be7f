"""Does the OpenVINO export say what the checkpoint says? Greedy answers of both, word for word.

In: a Transformers folder and an OpenVINO folder. Out: the questions asked and those whose answers differ. Pictures go
through Transformers' own processor here, so that tokenisation and preparation of pictures are compared too.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from samples import Mix, sample
from served import Ask, Served, prompt_of
from transformers import AutoProcessor, Gemma3ForConditionalGeneration

MOST_TOKENS = 96


@dataclass(frozen=True, slots=True)
class Compared:
    """How many were asked, how many of them the checkpoint answered right, and how many of these the export did too;
    (question, the checkpoint's answer, the export's) that differ."""

    asked: int
    right: int
    kept: int
    differ: list[tuple[str, str, str]]

    @property
    def share(self) -> float:
        """The share of right answers that stay right; what a model does not know it may say otherwise."""
        return self.kept / self.right if self.right else 0.0


def asks(count: int, mix: Mix) -> list[tuple[Ask, str]]:
    """Return held-out first-turn requests of every kind with their true answers, one of each sample."""
    chosen = []
    for index in range(count):
        drawn = sample("watch", index, 7, mix)
        images = tuple(tuple(view.pixels for view in views) for views in drawn.images)
        turn = drawn.turns[0]
        chosen.append(
            (Ask(images, turn.question, drawn.system, drawn.layout, readings=drawn.readings, again=True), turn.answer)
        )
    return chosen


@torch.no_grad()
def reference(folder: Path, requests: list[Ask]) -> list[str]:
    """Return the checkpoint's greedy answers, in float32."""
    processor = AutoProcessor.from_pretrained(folder)
    model = Gemma3ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    answers = []
    for ask in requests:
        text = prompt_of(ask, tag="<start_of_image>")
        images = [Image.fromarray(picture) for picture in ask.views]
        inputs = processor(text=text, images=images, return_tensors="pt", return_mm_token_type_ids=True)
        written = model.generate(**inputs, max_new_tokens=MOST_TOKENS, do_sample=False)
        new = written[0, inputs["input_ids"].shape[1] :]
        answers.append(processor.tokenizer.decode(new, skip_special_tokens=True))
    return answers


def compare(folder: Path, made: Path, *, count: int, mix: Mix) -> Compared:
    """Ask both the same and compare."""
    chosen = asks(count, mix)
    requests = [ask for ask, _ in chosen]
    theirs = [answer.strip() for answer in reference(folder, requests)]
    ours = [answer.strip() for answer in Served(made, precision="f32", most_tokens=MOST_TOKENS).answer(requests)]
    trios = [(ask.question, a, b) for ask, a, b in zip(requests, theirs, ours, strict=True) if a != b]
    right = [(a, b) for a, b, (_, true) in zip(theirs, ours, chosen, strict=True) if a == true.strip()]
    return Compared(count, len(right), sum(a == b for a, b in right), trios)
