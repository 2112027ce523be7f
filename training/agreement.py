"""Does the OpenVINO export say what the checkpoint says? Greedy answers of both, word for word.

In: a Transformers folder and an OpenVINO folder. Out: the questions whose answers differ. Pictures go through
Transformers' own processor here, so that tokenisation and preparation of pictures are compared too.
"""

from __future__ import annotations

from pathlib import Path

import torch
from drawing import draw_worn, rng_for
from model import IMAGE_PX
from PIL import Image
from served import MOST_TOKENS, Ask, Served, prompt_of
from talks import sample_talk
from transformers import AutoProcessor, Gemma3ForConditionalGeneration

SAMPLES = 24


def asks() -> list[Ask]:
    """Return first-turn requests of every kind, one from each sample."""
    chosen = []
    for index in range(SAMPLES):
        rng = rng_for("watch", index, seed=7)
        sample = sample_talk(rng)
        pictures = tuple(draw_worn(scene, rng, IMAGE_PX) for scene in sample.scenes)
        chosen.append(Ask(pictures, sample.turns[0].question, sample.system, sample.layout))
    return chosen


@torch.no_grad()
def reference(folder: Path, requests: list[Ask]) -> list[str]:
    """Return the checkpoint's greedy answers, in float32."""
    processor = AutoProcessor.from_pretrained(folder)
    model = Gemma3ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    answers = []
    for ask in requests:
        text = prompt_of(ask)
        for i in range(len(ask.pictures)):
            text = text.replace(f"<ov_genai_image_{i}>", "<start_of_image>")
        images = [Image.fromarray(picture) for picture in ask.pictures]
        inputs = processor(text=text, images=images, return_tensors="pt", return_mm_token_type_ids=True)
        written = model.generate(**inputs, max_new_tokens=MOST_TOKENS, do_sample=False)
        new = written[0, inputs["input_ids"].shape[1] :]
        answers.append(processor.tokenizer.decode(new, skip_special_tokens=True))
    return answers


def disagreements(folder: Path, made: Path) -> list[tuple[str, str, str]]:
    """Return (question, checkpoint's answer, export's answer) wherever they differ."""
    requests = asks()
    pairs = zip(requests, reference(folder, requests), Served(made, precision="f32").answer(requests), strict=True)
    return [(ask.question, theirs, ours) for ask, theirs, ours in pairs if theirs.strip() != ours.strip()]
