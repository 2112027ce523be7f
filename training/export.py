"""The fifth step: the trained checkpoint → the folder that the package ships.

In: runs/joint.pt and runs/tokenizer. Out: runs/peek-10m (Transformers' format, for vLLM and others) and the OpenVINO
export in src/sightline/bundled/peek-10m. It refuses to ship an export whose greedy answers differ from the
checkpoint's.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path

import torch
from agreement import disagreements
from model import IMAGE_PX, IMAGE_TOKENS, build_model
from optimum.exporters.openvino import main_export
from optimum.intel.openvino import OVConfig
from transformers import AutoTokenizer, Gemma3ImageProcessorPil, Gemma3Processor

SHIPPED = Path(__file__).parent.parent / "src" / "sightline" / "bundled" / "peek-10m"
CARD = {
    "id": "sightline/peek-10m/bf-16",
    "owned_by": "sightline",
    "created": 1795219200,
    "description": "Peek, a small Gemma 3 trained by this project on drawn pictures. It knows coloured shapes: their "
    "names, colours, counts up to six and places, and two pictures compared; in sentences or JSON. Anything else is "
    "outside of what it knows.",
    "context_length": 2048,
    "max_images": 2,
    "license": "Apache-2.0",
}


def save_transformers(runs: Path, checkpoint: Path, folder: Path) -> None:
    """Write the checkpoint as Transformers and vLLM read it."""
    tokenizer = AutoTokenizer.from_pretrained(runs / "tokenizer")
    model = build_model(tokenizer, seed=0)
    model.load_state_dict(torch.load(checkpoint, map_location="cpu", weights_only=True)["model"])
    model.save_pretrained(folder)
    images = Gemma3ImageProcessorPil(
        size={"height": IMAGE_PX, "width": IMAGE_PX},
        resample=2,  # bilinear
        do_convert_rgb=True,
        do_pan_and_scan=False,
        image_seq_length=IMAGE_TOKENS,
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )
    processor = Gemma3Processor(
        image_processor=images,
        tokenizer=tokenizer,
        chat_template=tokenizer.chat_template,
        image_seq_length=IMAGE_TOKENS,
    )
    processor.save_pretrained(folder)
    images.save_pretrained(folder)  # preprocessor_config.json, which OpenVINO GenAI reads


def export(folder: Path, shipped: Path) -> None:
    """Convert to OpenVINO with half-precision weights and put the result in place of what was shipped."""
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / "export"
        main_export(
            str(folder),
            output=made,
            task="image-text-to-text",
            ov_config=OVConfig(dtype="fp16"),
            convert_tokenizer=True,
            local_files_only=True,
        )
        shutil.copy(folder / "preprocessor_config.json", made)
        (made / "sightline.json").write_text(json.dumps(CARD, indent=2) + "\n")
        wrong = disagreements(folder, made)
        if wrong:
            raise SystemExit(f"the export's greedy answers differ from the checkpoint's: {wrong}")
        shipped.mkdir(parents=True, exist_ok=True)
        for file in made.iterdir():
            shutil.copy(file, shipped / file.name)
    size = sum(file.stat().st_size for file in shipped.iterdir())
    print(f"{shipped.name}: {size / 1e6:.1f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path(__file__).parent / "runs")
    parser.add_argument("--checkpoint", type=Path, help="default: runs/joint.pt")
    parser.add_argument("--shipped", type=Path, default=SHIPPED)
    options = parser.parse_args()
    folder = options.runs / "peek-10m"
    save_transformers(options.runs, options.checkpoint or options.runs / "joint.pt", folder)
    export(folder, options.shipped)


if __name__ == "__main__":
    main()
