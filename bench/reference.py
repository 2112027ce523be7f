"""Transformers on a checkpoint, for `bench.engines`: run by the Python of vLLM's environment, which has it.

Takes the checkpoint's folder; then, a line each, JSON of a batch: pictures as base64, a question, how many tokens an
answer may have. Answers each with a line: seconds to the first token, seconds in all, tokens made.
"""

from __future__ import annotations

import base64
import io
import json
import sys
import time
from typing import Any


def main() -> None:
    """Load, then answer until standard input ends."""
    import torch
    from PIL import Image
    from transformers import AutoModelForImageTextToText, AutoProcessor

    torch.set_num_threads(2)
    processor = AutoProcessor.from_pretrained(sys.argv[1], backend="pil")
    processor.tokenizer.padding_side = "left"
    model = AutoModelForImageTextToText.from_pretrained(sys.argv[1], dtype=torch.bfloat16).eval()
    print("ready", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        began = time.perf_counter()
        pictures = [Image.open(io.BytesIO(base64.b64decode(one))).convert("RGB") for one in asked["pictures"]]
        content = [{"type": "image"}, {"type": "text", "text": asked["question"]}]
        prompt = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        images = [[one] for one in pictures]
        texts, options = [prompt] * len(images), {"return_tensors": "pt", "padding": True, "add_special_tokens": False}
        batch: Any = processor(text=texts, images=images, **options)
        batch["pixel_values"] = batch["pixel_values"].to(torch.bfloat16)
        clock = _Clock()
        with torch.inference_mode():
            made = model.generate(**batch, max_new_tokens=asked["tokens"], do_sample=False, stopping_criteria=[clock])
        new = made[:, batch["input_ids"].shape[1] :]
        tokens = int((new != (model.generation_config.pad_token_id or 0)).sum())
        print(json.dumps([clock.first_s - began, time.perf_counter() - began, tokens]), flush=True)


class _Clock:
    """Asked after every token whether to stop, which it never does: it notes when the first one came."""

    first_s = 0.0

    def __call__(self, ids: Any, scores: Any, **_: Any) -> Any:
        import torch

        self.first_s = self.first_s or time.perf_counter()
        return torch.zeros(ids.shape[0], dtype=torch.bool)


if __name__ == "__main__":
    main()
