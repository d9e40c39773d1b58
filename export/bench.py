"""`mvmr-export bench`: engines and dtypes side by side, beside the rate at which this machine multiplies matrices."""

from __future__ import annotations

import functools
import logging
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from export.agreement import agreement
from export.convert import convert, encoder_graph, session_of
from export.inputs import crops
from export.options import ExportOptions, signature_of
from export.photos import Photos, folder_photos, sample_photos
from export.source import read_source
from export.speed import timed
from mvmr_zoo.errors import ConfigError, one_line
from mvmr_zoo.models.exported import DTYPES, filled_batches

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from export.source import Source
    from mvmr_zoo.models.exported import Dtype

    Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]

EAGER = "PyTorch eager"

_SIDE = 2048
_CALLS = 2
_MOST_PHOTOS = 128


@dataclass(frozen=True)
class Row:
    """One engine and dtype.

    Args:
        engine: in words.
        images_per_s: by the median call; None where it does not run here.
        times_eager: as often as PyTorch eager.
        peak_share: of the machine's fp32 matrix product rate: the network's own floating-point operations a second
            by the product's. Above 1 in int8, which does more at once.
        top1_agreement: fraction of photos with the same nearest other photo as in PyTorch eager.
        cosine_mean: of a photo's vector to PyTorch eager's.
        note: why it does not run here; empty where it does.
    """

    engine: str
    images_per_s: float | None = None
    times_eager: float | None = None
    peak_share: float | None = None
    top1_agreement: float | None = None
    cosine_mean: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Bench:
    """One encoder's table.

    Args:
        spec: of the encoder.
        px: side of its images.
        batch: images a call.
        gflop: floating-point operations of an image, in billions; a multiply and an add are two.
        gemm_gflop_per_s: rate of a 2048 x 2048 x 2048 fp32 product, in billions a second, by library.
        photos: how many, and where they come from.
        rows: an engine and dtype each.
    """

    spec: str
    px: int
    batch: int
    gflop: float
    gemm_gflop_per_s: dict[str, float]
    photos: str
    rows: list[Row]


def bench(
    spec: str, *, batch: int = 16, images: Path | None = None, say: Callable[[str], object] = lambda _: None
) -> Bench:
    """PyTorch eager, channels-last and compiled, ONNX Runtime fp32, fp16 and int8, on this machine's CPU.

    int8 leaves its first and last layer in float and searches no further: what it keeps is shown, not asked for.

    Args:
        spec: as `mvmr_zoo.load` takes it.
        batch: images a call.
        images: folder of photos; None takes the samples.
        say: told what is being done.

    Raises:
        MvmrError: the model or the photos cannot be used.
    """
    if batch < 1:
        raise ConfigError(f"--batch got {batch}; expected at least 1.")
    source = read_source(spec)
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # no CUDA here: no news
    with tempfile.TemporaryDirectory(prefix="mvmr-export-") as scratch:
        folder = Path(scratch)
        photos = sample_photos(folder / "photos") if images is None else folder_photos(images)
        seen = crops(signature_of(source.model, ExportOptions()), photos.measured[:_MOST_PHOTOS])
        given = np.resize(seen, (batch, *seen.shape[1:]))
        runs: dict[str, Run] = {}
        rows: list[Row] = []
        for name, make in _engines(source, photos, folder).items():
            say(f"{spec}: {name}")
            try:
                run = make()
                run(given)
                runs[name] = run
            except Exception as error:  # a compiler that is not there, an operator an engine lacks
                rows.append(Row(name, note=one_line(error, 120)))
        say(f"{spec}: timing")
        seconds = _timed(runs, given)
    products = {name: 2 * _SIDE**3 / each / 1e9 for name, each in seconds.items() if name in _PRODUCTS}
    gflop = _gflop(source.network, seen.shape[-1])
    wanted = _features(runs[EAGER], seen, batch)
    for name, run in runs.items():
        kept = agreement(wanted, _features(run, seen, batch))
        rows.append(
            Row(
                name,
                images_per_s=batch / seconds[name],
                times_eager=seconds[EAGER] / seconds[name],
                peak_share=batch / seconds[name] * gflop / max(products.values()),
                top1_agreement=kept.top1_agreement,
                cosine_mean=kept.cosine_mean,
            )
        )
    return Bench(spec, seen.shape[-1], batch, gflop, products, f"{len(seen)} {photos.source}", rows)


def _engines(source: Source, photos: Photos, folder: Path) -> dict[str, Callable[[], Run]]:
    """How each engine is made, by name, in the order of the table."""
    encoder = source.network
    found: dict[str, Callable[[], Run]] = {
        EAGER: lambda: _pytorch(encoder, torch.contiguous_format),
        "PyTorch channels-last": lambda: source.model.engine,
        "PyTorch compiled": lambda: _pytorch(torch.compile(encoder), torch.contiguous_format),
    }
    for dtype in DTYPES:
        (folder / dtype).mkdir()
        found[f"ONNX Runtime {dtype}"] = functools.partial(_onnx, source, dtype, photos, folder / dtype)
    return found


def _pytorch(encoder: Callable[..., Any], layout: torch.memory_format) -> Run:
    def run(images: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            features: NDArray[np.float32] = encoder(torch.from_numpy(images).to(memory_format=layout)).numpy()
            return features

    return run


def _onnx(source: Source, dtype: Dtype, photos: Photos, folder: Path) -> Run:
    contract = signature_of(source.model, ExportOptions(dtype=dtype))
    converted = convert(encoder_graph(source.network, contract), contract, photos, lambda _: 0.0, folder)
    return session_of(converted.model)


def _features(run: Run, images: NDArray[np.float32], batch: int) -> NDArray[np.float32]:
    return np.concatenate([run(part)[:count] for part, count in filled_batches(images, batch)])


_PRODUCTS: dict[str, Callable[[NDArray[np.float32]], object]] = {
    "NumPy": lambda matrix: matrix @ matrix,
    "PyTorch": lambda matrix: torch.mm(torch.from_numpy(matrix), torch.from_numpy(matrix)),
}
"""The libraries' matrix products; the fastest stands for the machine."""


def _timed(runs: dict[str, Run], given: NDArray[np.float32]) -> dict[str, float]:
    """Median seconds of a call of every engine and every matrix product, taken in turn."""
    matrix = np.random.default_rng(0).standard_normal((_SIDE, _SIDE), dtype=np.float32)
    every: dict[str, Callable[[], object]] = {}
    for name, run in runs.items():
        every[name] = functools.partial(run, given)
    for name, product in _PRODUCTS.items():
        every[name] = functools.partial(product, matrix)
    return {name: float(np.median(each)) for name, each in timed(every, calls=_CALLS).items()}


def _gflop(encoder: nn.Module, px: int) -> float:
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        encoder(torch.zeros(1, 3, px, px))
    return float(counter.get_total_flops()) / 1e9
