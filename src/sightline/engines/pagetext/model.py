"""The transcriber's entry in the model list. Loads nothing, so that a picture can be counted without the engine."""

from __future__ import annotations

from sightline.core import ImageEncoding, ModelInfo

MODEL_ID = "paddleocr/pp-ocr-v6-small/fp-32"
WITHOUT_PICTURES = "this model reads pictures: send one or two as image_url parts"
INFO = ModelInfo(
    id=MODEL_ID,
    owned_by="paddleocr",
    created=1_781_049_600,
    context_length=131_072,
    description=(
        "Transcribes the text of one or two pictures in reading order, a line at a time, whatever the prompt says; a "
        "table's cells are parted by tabs. "
        "It has no tokens of its own: a picture counts as its documented estimate, an answer as its characters, "
        "a prompt's text as nothing. A picture without text gives an empty answer. The same picture always gives "
        "the same answer: seed, temperature and top_p are accepted and change nothing."
    ),
    image=ImageEncoding(kind="page", size_px=2048),
    max_images=2,
    supported_parameters=frozenset(
        {"max_tokens", "max_completion_tokens", "stop", "seed", "temperature", "top_p"},
    ),
)
