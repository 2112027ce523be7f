"""The least time the transcriber's networks can take: their multiply-adds at the rate of this machine's products."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino as ov
from openvino import opset13 as ops

from bench.pages import Page
from pagetext import Reader
from pagetext import networks as weights

Shape = tuple[int, ...]
"""Of pixels: pictures, height, width, 3."""


@dataclass(frozen=True, slots=True)
class Limit:
    """What reading one page takes in arithmetic alone."""

    multiply_adds: int
    per_second: float
    precision: str

    @property
    def seconds(self) -> float:
        """With every multiply-add at the measured rate, and nothing else to do."""
        return self.multiply_adds / self.per_second


@dataclass(slots=True)
class _Seen:
    detector: list[Shape] = field(default_factory=list)
    recogniser: list[Shape] = field(default_factory=list)
    orienter: list[Shape] = field(default_factory=list)


class _Watched(weights.Networks):
    """Notes what each network is given."""

    def watch(self) -> _Seen:
        seen = _Seen()
        self._shapes = {self._detector: seen.detector, self._recogniser: seen.recogniser, self._orienter: seen.orienter}
        return seen

    def _run(self, network: ov.CompiledModel, batch: npt.NDArray[np.uint8]) -> list[Any]:  # type: ignore[override]
        self._shapes[network].append(batch.shape)
        return super()._run(network, batch)

    @property
    def precision(self) -> str:
        return str(self._recogniser.get_property("INFERENCE_PRECISION_HINT").to_string())


def limit(page: Page, threads: int) -> Limit:
    """Count the multiply-adds of one page at the sizes that it is read in, and measure this machine's rate."""
    networks = _Watched(weights.weights_folder(), threads=threads)
    seen = networks.watch()
    Reader(networks).page(page.pixels)
    files = {
        weights._DETECTOR: seen.detector,
        weights._RECOGNISER: seen.recogniser,
        weights._ORIENTER: seen.orienter,
    }
    total = sum(_multiply_adds(name, shapes) for name, shapes in files.items())
    return Limit(total, _rate(networks.precision, threads), networks.precision)


def _multiply_adds(name: str, shapes: Iterable[Shape]) -> int:
    counted: dict[Shape, int] = {}
    total = 0
    for shape in shapes:
        if shape not in counted:
            model = ov.Core().read_model(weights.weights_folder() / name)
            model.reshape([shape[0], 3, shape[1], shape[2]])
            counted[shape] = sum(_of(op) for op in model.get_ops())
        total += counted[shape]
    return total


def _of(op: Any) -> int:
    """Multiply-adds of one operation; those that are no products count nothing."""
    kind = op.get_type_name()
    if kind not in (
        "Convolution",
        "GroupConvolution",
        "ConvolutionBackpropData",
        "GroupConvolutionBackpropData",
        "MatMul",
    ):
        return 0
    given, weight = (_shape(op.input_value(at)) for at in (0, 1))
    made = _shape(op.output(0))
    if kind == "MatMul":
        return math.prod(made) * given[-2 if op.get_attributes()["transpose_a"] else -1]
    # A weight's first axes are its filters (after the groups); the rest is what one figure takes, or gives.
    per_figure = math.prod(weight[2 if kind.startswith("Group") else 1 :])
    return math.prod(given if "Backprop" in kind else made) * per_figure


def _shape(value: Any) -> list[int]:
    """Sizes, where the recogniser's last layers know no number of pictures: one."""
    return [size.get_length() if size.is_static else 1 for size in value.get_partial_shape()]


def _rate(precision: str, threads: int, sizes: Sequence[int] = (4096, 1024), layers: int = 8) -> float:
    """Measure multiply-adds a second of large matrix products, the best of a few tries."""
    rows, width = sizes
    rng = np.random.default_rng(0)
    given = ops.parameter([rows, width], np.float32)
    product = given
    for _ in range(layers):
        product = ops.matmul(
            product, ops.constant(rng.normal(0, 0.03, (width, width)).astype(np.float32)), False, False
        )
    settings = {"NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": precision}
    network = ov.Core().compile_model(ov.Model([product], [given]), "CPU", settings)
    figures = rng.normal(size=(rows, width)).astype(np.float32)
    seconds = []
    for _ in range(12):
        began = time.perf_counter()
        network([figures])
        seconds.append(time.perf_counter() - began)
    return layers * rows * width * width / min(seconds)
