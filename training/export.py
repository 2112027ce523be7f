"""The fourth step: the trained weights → the folder that the package ships.

In: the shards of a run, or of several whose mean is taken, and runs/tokenizer. Out: checkpoint/ beside the last ones
(Transformers' format, for vLLM and others) and the OpenVINO export, its weights as 8-bit integers with a scale a row
(or as half floats, `--half`). It refuses to ship an export that loses more than a few of the checkpoint's right
answers, or that is too large.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import nncf
import openvino
from agreement import compare
from model import SIZES, Sizes, build_model
from optimum.exporters.openvino import main_export
from optimum.intel.openvino import OVConfig
from reading import MOST_CHARACTERS
from runs import mean_of
from samples import Mix
from transformers import AutoTokenizer, Gemma3ImageProcessorPil, Gemma3Processor

BUNDLED = Path(__file__).parent.parent / "src" / "sightline" / "bundled"
MOST_MB = 40.0
LEAST_AGREEMENT = 0.97
PARTS = ("language_model", "text_embeddings_model", "vision_embeddings_model")
CLOSER = {
    "pan_and_scan_min_crop_size": 256,
    "pan_and_scan_max_num_crops": 4,
    "pan_and_scan_min_ratio_to_activate": 1.2,
}
"""A model whose processor says nothing of these takes no closer views."""
NAMES = {"full": "peek-28m", "light": "peek-12m"}
CARD = {
    "owned_by": "sightline",
    "created": 1795305600,
    "description": "Peek, a small Gemma 3 trained by this project on drawn pictures. The transcriber reads each "
    "picture to it: it finds words, numbers, dates, amounts and labelled fields in what is read, names, counts and "
    "places shapes, and compares two pictures; in words or JSON. It says so when a picture does not tell. How often it "
    "is right: docs/bundled-model.md.",
    "context_length": 4096,
    "max_images": 2,
    "ocr_max_chars": MOST_CHARACTERS,
    "prompt_repetition": True,
    "characters_per_token": 1,
    "license": "Apache-2.0",
}


def save_transformers(sizes: Sizes, tokenizer_folder: Path, shards: Sequence[Path], folder: Path) -> None:
    """Write the weights as Transformers and vLLM read them.

    Raises:
        SystemExit: there are no shards, or they are of another model.
    """
    found = mean_of(shards)
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    model = build_model(sizes, tokenizer)
    weights = {name.removeprefix("net."): weight for name, weight in found.items() if name.startswith("net.")}
    lacking = model.load_state_dict(weights, strict=False)
    if lacking.unexpected_keys or lacking.missing_keys not in ([], ["lm_head.weight"]):
        raise SystemExit(f"{shards[0]}: these weights are not of the model {sizes.name}: {lacking}")
    model.save_pretrained(folder)
    images = Gemma3ImageProcessorPil(
        size={"height": sizes.image_px, "width": sizes.image_px},
        resample=2,  # bilinear
        do_convert_rgb=True,
        do_pan_and_scan=False,
        **(CLOSER if sizes.letters else {}),
        image_seq_length=sizes.image_tokens,
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )
    processor = Gemma3Processor(
        image_processor=images,
        tokenizer=tokenizer,
        chat_template=tokenizer.chat_template,
        image_seq_length=sizes.image_tokens,
    )
    processor.save_pretrained(folder)
    images.save_pretrained(folder)  # preprocessor_config.json, which OpenVINO GenAI reads


def convert(folder: Path, made: Path, name: str, *, half: bool) -> None:
    """Convert a Transformers folder to OpenVINO, with a card of the model `name`."""
    main_export(
        str(folder),
        output=made,
        task="image-text-to-text",
        ov_config=OVConfig(dtype="fp16" if half else "fp32"),
        convert_tokenizer=True,
        local_files_only=True,
    )
    shutil.copy(folder / "preprocessor_config.json", made)
    (made / "sightline.json").write_text(json.dumps({"id": f"sightline/{name}/bf-16", **CARD}, indent=2) + "\n")
    if half:
        return
    core = openvino.Core()
    for part in PARTS:
        path = made / f"openvino_{part}.xml"
        small = nncf.compress_weights(core.read_model(path), mode=nncf.CompressWeightsMode.INT8_ASYM)
        waiting = made / f"small_{part}.xml"
        openvino.save_model(small, waiting, compress_to_fp16=True)
        del small
        for suffix in (".xml", ".bin"):
            waiting.with_suffix(suffix).replace(path.with_suffix(suffix))


def megabytes(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.iterdir()) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path(__file__).parent / "runs")
    parser.add_argument(
        "--shards", type=Path, nargs="+", help="of one run, or of several whose mean is taken; default: runs/peek"
    )
    parser.add_argument("--sizes", choices=NAMES, default="full")
    parser.add_argument("--shipped", type=Path, help="default: the package's folder of this name")
    parser.add_argument("--half", action="store_true", help="half floats instead of 8-bit integers")
    parser.add_argument("--kinds", nargs="*", default=[], help="kinds of pictures to compare on, as name=weight")
    parser.add_argument("--asked", type=int, default=160, help="questions put to both; 0: do not compare")
    options = parser.parse_args()
    sizes, name = SIZES[options.sizes], NAMES[options.sizes]
    shipped = options.shipped or BUNDLED / name
    shards = options.shards or [options.runs / "peek"]
    folder = shards[-1] / "checkpoint"
    save_transformers(sizes, options.runs / "tokenizer", shards, folder)
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / "export"
        convert(folder, made, name, half=options.half)
        if options.asked:
            kinds = {name: float(weight) for name, _, weight in (part.partition("=") for part in options.kinds)}
            mix = Mix(sizes.image_px, sizes.grid, kinds or None, letters=sizes.letters)
            compared = compare(folder, made, count=options.asked, mix=mix)
            for question, theirs, ours in compared.differ:
                print(f"differ: {question!r}: checkpoint {theirs!r}, export {ours!r}")
            same = compared.asked - len(compared.differ)
            print(
                f"{compared.asked} asked: the same answer {same}, right {compared.right}, still right {compared.kept}"
            )
            if compared.share < LEAST_AGREEMENT:
                raise SystemExit(f"fewer than {LEAST_AGREEMENT:.0%} of the checkpoint's right answers stay right")
        if (size := megabytes(made)) > MOST_MB:
            raise SystemExit(f"{size:.1f} MB; at most {MOST_MB:.0f} MB are shipped")
        shipped.mkdir(parents=True, exist_ok=True)
        for file in made.iterdir():
            shutil.copy(file, shipped / file.name)
    print(f"{shipped}: {size:.1f} MB")


if __name__ == "__main__":
    main()
