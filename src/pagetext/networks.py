"""The three PP-OCRv6 networks on OpenVINO: where text is, which way up it stands, what it says.

In: RGB pixels. Out: boxes, a verdict, text. Box extraction and character decoding are RapidOCR's; the
sessions are ours, since its own run one request at a time and pad lines to a common width. Weights come from
RapidOCR's wheel by path: nothing here downloads or writes.

Source: https://github.com/RapidAI/RapidOCR; https://github.com/PaddlePaddle/PaddleOCR
"""

from __future__ import annotations

import importlib.util
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import openvino as ov
from openvino.preprocess import PrePostProcessor
from rapidocr.ch_ppocr_det.utils import DBPostProcess
from rapidocr.ch_ppocr_rec.utils import CTCLabelDecode

from pagetext.normalise import as_figures, narrowed
from pagetext.types import Pixels, Quads

LINE_HEIGHT_PX = 48
_ORIENTER_WIDTH_PX = 192
_MOST_BOXES = 4_000
"""Of a page; beyond them its top would be lost. A sheet of four-digit numbers in 16 px has 1,300."""
_CONFIDENCE_STEPS = 24
"""Enough to tell writing from noise; each costs 18,710 exponentials."""
_DETECTOR = "PP-OCRv6_det_small.onnx"
_RECOGNISER = "PP-OCRv6_rec_small.onnx"
_ORIENTER = "ch_ppocr_mobile_v2.0_cls_mobile.onnx"

# Its logger has a handler of its own and does not propagate.
logging.getLogger("RapidOCR").setLevel(logging.CRITICAL)


class WeightsError(Exception):
    """The networks are missing or cannot be loaded; the message says which and what to do."""


@dataclass(frozen=True, slots=True)
class Recognition:
    """What the recogniser made of one crop, and its mean confidence from 0 to 1.

    `centres` is where each character stands along the crop: 0 is its left edge, 1 its right.
    """

    text: str
    confidence: float
    centres: tuple[float, ...] = ()


def weights_folder() -> Path:
    """Find the weights in RapidOCR's wheel, without importing the parts of it that can download.

    Raises:
        WeightsError: the package is not installed.
    """
    spec = importlib.util.find_spec("rapidocr")
    if spec is None or spec.origin is None:
        raise WeightsError("the transcriber needs the package rapidocr; install the requirements again")
    return Path(spec.origin).parent / "models"


class Networks:
    """The compiled networks. Every method may be called from several threads at once.

    Raises:
        WeightsError: weights are missing or OpenVINO cannot load them.
    """

    def __init__(self, folder: Path, *, threads: int, precision: str | None = None) -> None:
        missing = [name for name in (_DETECTOR, _RECOGNISER, _ORIENTER) if not (folder / name).is_file()]
        if missing:
            raise WeightsError(f"the transcriber's weights {', '.join(missing)} are missing; reinstall rapidocr 3.10")
        one_picture: dict[str, int | str] = {"NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": threads}
        if precision is not None:
            one_picture["INFERENCE_PRECISION_HINT"] = precision
        many_lines = {**one_picture, "NUM_STREAMS": threads}
        core = ov.Core()
        try:
            recogniser = core.read_model(folder / _RECOGNISER)
            characters = recogniser.get_rt_info()["framework"]["character"].value.splitlines()
            self._detector = core.compile_model(_from_pixels(core.read_model(folder / _DETECTOR)), "CPU", one_picture)
            self._orienter = core.compile_model(_from_pixels(core.read_model(folder / _ORIENTER)), "CPU", one_picture)
            self._recogniser = core.compile_model(_from_pixels(_scores_only(recogniser)), "CPU", many_lines)
        except RuntimeError as failure:
            raise WeightsError("OpenVINO cannot load the transcriber's weights; reinstall rapidocr 3.10") from failure
        self._extract_boxes = DBPostProcess(
            thresh=0.3, box_thresh=0.5, unclip_ratio=1.6, use_dilation=True, max_candidates=_MOST_BOXES
        )
        self._decode = CTCLabelDecode(character=characters).decode

    def detect(self, pixels: Pixels, size_px: tuple[int, int]) -> Quads:
        """Find boxes of text, in coordinates of `pixels`, looking at it resized to `size_px` (multiples of 32)."""
        small = cv2.resize(pixels, size_px, interpolation=cv2.INTER_AREA)
        (heat,) = self._run(self._detector, small[np.newaxis])
        boxes, _ = self._extract_boxes(heat, pixels.shape[:2])
        return np.asarray(boxes, np.float32).reshape(-1, 4, 2)

    def upside_down(self, crops: list[Pixels]) -> list[float]:
        """Judge how likely each line, `LINE_HEIGHT_PX` high, is to stand on its head, from 0 to 1.

        Only the middle of a long line is looked at: squeezed into the network's width, as RapidOCR does, it
        is judged at random.
        """
        batch = np.full((len(crops), LINE_HEIGHT_PX, _ORIENTER_WIDTH_PX, 3), 127, np.uint8)
        for row, crop in zip(batch, crops, strict=True):
            start = max(0, (crop.shape[1] - _ORIENTER_WIDTH_PX) // 2)
            middle = crop[:, start : start + _ORIENTER_WIDTH_PX]
            row[:, : middle.shape[1]] = middle
        (chances,) = self._run(self._orienter, batch)
        return [float(chance) for chance in chances[:, 1]]

    def recognise(self, crop: Pixels) -> Recognition:
        """Read one crop, `LINE_HEIGHT_PX` high."""
        (scores,) = self._run(self._recogniser, crop[np.newaxis])
        best = scores.argmax(axis=2)
        ((text, _),), _ = self._decode(best, remove_duplicate=True)
        read = as_figures(narrowed(text))
        return Recognition(read, _confidence(scores[0], best[0]), _centres(best[0], len(read)))

    @staticmethod
    def _run(network: ov.CompiledModel, batch: npt.NDArray[np.uint8]) -> list[Any]:
        # A request each: they are cheap beside the work, and the compiled model's own is shared by threads. Its outputs
        # are not copied, for a line's scores are 12 MB; they live as long as the arrays.
        results = network.create_infer_request().infer([batch], share_inputs=True, share_outputs=True)
        return [results[output] for output in network.outputs]


def _from_pixels(model: ov.Model) -> ov.Model:
    """Take RGB bytes, rows first; the networks were trained on BGR from -1 to 1, channels first."""
    steps = PrePostProcessor(model)
    steps.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    steps.input().model().set_layout(ov.Layout("NCHW"))
    steps.input().preprocess().convert_element_type(ov.Type.f32).reverse_channels().mean(127.5).scale(127.5)
    return steps.build()


def _scores_only(recogniser: ov.Model) -> ov.Model:
    """Leave out the last softmax: it costs more than the best of 18,710 scores, and most steps write nothing."""
    scores = recogniser.get_results()[0].input_value(0).get_node().input_value(0)
    return ov.Model([scores], recogniser.get_parameters(), "recogniser")


def _confidence(scores: npt.NDArray[np.float32], best: npt.NDArray[np.intp]) -> float:
    """Average the chance of the best character over the steps that write one; 0 if there is none."""
    steps = np.flatnonzero((best != 0) & (np.diff(best, prepend=0) != 0))
    if not len(steps):
        return 0.0
    written = scores[steps[:: -(-len(steps) // _CONFIDENCE_STEPS)]]
    return float(np.mean(1.0 / np.exp(written - written.max(axis=1, keepdims=True)).sum(axis=1)))


def _centres(best: npt.NDArray[np.intp], characters: int) -> tuple[float, ...]:
    """Where along the crop each character was written: in the middle of its run of steps."""
    begins = np.flatnonzero((best != 0) & (np.diff(best, prepend=0) != 0))
    ends = np.flatnonzero((best != 0) & (np.diff(best, append=0) != 0)) + 1
    if len(begins) != characters:  # what is written otherwise afterwards, as half a width for a full one
        return tuple((np.arange(characters) + 0.5) / max(characters, 1))
    return tuple(((begins + ends) / 2 / len(best)).tolist())
