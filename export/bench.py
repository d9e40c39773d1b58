"""`mvmr-export bench`: compare engines and dtypes with each other and with the matrix product rate of the machine."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from export.agreement import agreement
from export.convert import convert, encoder_graph, onnx_runner
from export.inputs import load_crops
from export.options import ExportOptions, signature_of
from export.photos import Photos, folder_photos, sample_photos
from export.source import read_source
from export.speed import time_calls
from mvmr_zoo._io import scratch_folder
from mvmr_zoo.errors import ConfigError, one_line
from mvmr_zoo.models.exported import DTYPES, filled_batches

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from export.source import Source
    from mvmr_zoo.models.exported import Dtype

    Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]

EAGER = "PyTorch eager"

_MATRIX_SIDE = 2048
_CALLS = 2
_MAX_PHOTOS = 128


@dataclass(frozen=True)
class Row:
    """Result for one engine and dtype.

    Args:
        engine: Display name of the engine and dtype.
        images_per_s: Throughput of the median call; None if the engine does not run on this machine.
        times_eager: Throughput relative to PyTorch eager.
        peak_share: Floating-point operations per second of the network divided by those of an fp32 matrix product.
            Can exceed 1 for int8, which processes more values per instruction.
        top1_agreement: Fraction of photos with the same nearest neighbor as in PyTorch eager.
        cosine_mean: Mean cosine similarity to the PyTorch eager vectors.
        note: Reason why the engine does not run on this machine; empty if it runs.
    """

    engine: str
    images_per_s: float | None = None
    times_eager: float | None = None
    peak_share: float | None = None
    top1_agreement: float | None = None
    cosine_mean: float | None = None
    note: str = ""


@dataclass(frozen=True)
class BenchResult:
    """Benchmark table of one encoder.

    Args:
        spec: Model spec.
        px: Side of the input images in pixels.
        batch: Images per call.
        gflop: Floating-point operations per image in billions; a multiply-add counts as two.
        gemm_gflop_per_s: Rate of a 2048 x 2048 x 2048 fp32 matrix product, in GFLOP/s, by library.
        photos: Number and origin of the photos.
        rows: One row per engine and dtype.
    """

    spec: str
    px: int
    batch: int
    gflop: float
    gemm_gflop_per_s: dict[str, float]
    photos: str
    rows: list[Row]


def bench(
    spec: str, *, batch: int = 16, images: Path | None = None, progress: Callable[[str], object] = lambda _: None
) -> BenchResult:
    """Benchmark PyTorch eager, channels-last and compiled, and ONNX Runtime fp32, fp16 and int8, on the CPU.

    int8 keeps only its first and last layers in float. Its agreement is reported, not enforced.

    Args:
        spec: Model spec, as for `mvmr_zoo.load`.
        batch: Images per call.
        images: Folder of photos; None uses the sample photos.
        progress: Callback that receives one line of text per step.

    Raises:
        MvmrError: The model or the photos cannot be used.
    """
    if batch < 1:
        raise ConfigError(f"--batch is {batch}; expected at least 1.")
    source = read_source(spec)
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # it warns if CUDA is absent
    with scratch_folder() as folder:
        photos = sample_photos(folder / "photos") if images is None else folder_photos(images)
        crops = load_crops(signature_of(source.model, ExportOptions()), photos.measured[:_MAX_PHOTOS])
        batch_input = np.resize(crops, (batch, *crops.shape[1:]))
        runs: dict[str, Run] = {}
        rows: list[Row] = []
        for name, make in _engines(source, photos, folder).items():
            progress(f"{spec}: {name}")
            try:
                run = make()
                run(batch_input)
                runs[name] = run
            except Exception as error:  # a missing compiler, or an operator that the engine lacks
                rows.append(Row(name, note=one_line(error, 120)))
        progress(f"{spec}: timing")
        seconds = _median_seconds(runs, batch_input)
    products = {name: 2 * _MATRIX_SIDE**3 / each / 1e9 for name, each in seconds.items() if name in _PRODUCTS}
    gflop = _gflop(source.network, crops.shape[-1])
    reference = _features(runs[EAGER], crops, batch)
    for name, run in runs.items():
        result = agreement(reference, _features(run, crops, batch))
        rows.append(
            Row(
                name,
                images_per_s=batch / seconds[name],
                times_eager=seconds[EAGER] / seconds[name],
                peak_share=batch / seconds[name] * gflop / max(products.values()),
                top1_agreement=result.top1_agreement,
                cosine_mean=result.cosine_mean,
            )
        )
    return BenchResult(spec, crops.shape[-1], batch, gflop, products, f"{len(crops)} {photos.source}", rows)


def _engines(source: Source, photos: Photos, folder: Path) -> dict[str, Callable[[], Run]]:
    """Return factories of the engines by name, in the order of the table."""
    encoder = source.network
    factories: dict[str, Callable[[], Run]] = {
        EAGER: lambda: _pytorch(encoder, torch.contiguous_format),
        "PyTorch channels-last": lambda: source.model.engine,
        "PyTorch compiled": lambda: _pytorch(torch.compile(encoder), torch.contiguous_format),
    }
    for dtype in DTYPES:
        (folder / dtype).mkdir()
        factories[f"ONNX Runtime {dtype}"] = functools.partial(_onnx, source, dtype, photos, folder / dtype)
    return factories


def _pytorch(encoder: Callable[..., Any], layout: torch.memory_format) -> Run:
    def run(images: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            features: NDArray[np.float32] = encoder(torch.from_numpy(images).to(memory_format=layout)).numpy()
            return features

    return run


def _onnx(source: Source, dtype: Dtype, photos: Photos, folder: Path) -> Run:
    signature = signature_of(source.model, ExportOptions(dtype=dtype))
    converted = convert(encoder_graph(source.network, signature), signature, photos, lambda _: 0.0, folder)
    return onnx_runner(converted.model)


def _features(run: Run, images: NDArray[np.float32], batch: int) -> NDArray[np.float32]:
    return np.concatenate([run(part)[:count] for part, count in filled_batches(images, batch)])


_PRODUCTS: dict[str, Callable[[NDArray[np.float32]], object]] = {
    "NumPy": lambda matrix: matrix @ matrix,
    "PyTorch": lambda matrix: torch.mm(torch.from_numpy(matrix), torch.from_numpy(matrix)),
}
"""Matrix products by library; the fastest one defines the peak rate of the machine."""


def _median_seconds(runs: dict[str, Run], batch_input: NDArray[np.float32]) -> dict[str, float]:
    """Return the median seconds per call of each engine and matrix product, measured in turns."""
    matrix = np.random.default_rng(0).standard_normal((_MATRIX_SIDE, _MATRIX_SIDE), dtype=np.float32)
    calls: dict[str, Callable[[], object]] = {}
    for name, run in runs.items():
        calls[name] = functools.partial(run, batch_input)
    for name, product in _PRODUCTS.items():
        calls[name] = functools.partial(product, matrix)
    return {name: float(np.median(each)) for name, each in time_calls(calls, calls=_CALLS).items()}


def _gflop(encoder: nn.Module, px: int) -> float:
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        encoder(torch.zeros(1, 3, px, px))
    return float(counter.get_total_flops()) / 1e9
