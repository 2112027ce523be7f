"""Bodies of requests of given sizes, the same at each run."""

from __future__ import annotations

import base64
import io
import json
import random

from PIL import Image


def body_of(model: str, *images: bytes) -> bytes:
    """A question about JPEGs, or about nothing."""
    content = [
        {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64," + base64.b64encode(image).decode()}}
        for image in images
    ]
    messages = [{"role": "user", "content": [*content, {"type": "text", "text": "What is in this image?"}]}]
    return json.dumps({"model": model, "messages": messages}).encode()


def jpeg(size_bytes: int) -> bytes:
    """A JPEG of noise of exactly `size_bytes`, the last few of them behind its end."""
    side = round((size_bytes * 1.3) ** 0.5)
    image = Image.frombytes("RGB", (side, side), random.Random(size_bytes).randbytes(side * side * 3))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=55)
    return file.getvalue().ljust(size_bytes, b"\0")
