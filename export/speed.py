"""Speed measurements. Engines are measured in turns so that they run under the same conditions."""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from export.inputs import prepare_inputs, read_photos

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image

    from mvmr_zoo.images import Preprocess
    from mvmr_zoo.inference import Engine
    from mvmr_zoo.models.exported import Signature


@dataclass(frozen=True)
class Speed:
    """Measured speed.

    Args:
        batch: Images per call.
        latency_p50_ms: Median latency of a call.
        latency_p95_ms: 95th percentile of the latency of a call.
        images_per_s: Throughput of the median call.
    """

    batch: int
    latency_p50_ms: float
    latency_p95_ms: float
    images_per_s: float


CALLS = {1: 10, 16: 2}
"""Measured calls per turn of a parity report, by images per call."""

TURNS = 4
WARM_S = 0.25
"""Duration of the warm-up before each turn."""


def compare_with_pytorch(
    engine: Engine, pytorch: Engine, signature: Signature, photos: list[Path]
) -> dict[int, dict[str, Speed]]:
    """Measure the speed of an export and of PyTorch on the same photos, by batch size.

    Both are measured from the input of `model.onnx`. If that is a decoded photo, the time of PyTorch includes the
    preprocessing in Python.

    Args:
        engine: Engine of the exported folder.
        pytorch: PyTorch engine of the source encoder.
        signature: Signature of the export.
        photos: Photo files. They are repeated if there are fewer than the batch size.
    """
    results = {}
    for batch, calls in calls_per_turn(signature).items():
        images = read_photos(signature, repeat_photos(photos, batch))
        onnx_input = prepare_inputs(signature, images)
        crops = np.stack([signature.preprocess(image) for image in images])
        runs: dict[str, Callable[[], object]] = {"onnx": functools.partial(engine, onnx_input)}
        if signature.stage == "full":
            runs["pytorch"] = functools.partial(_from_photos, pytorch, signature.preprocess, images)
        else:
            runs["pytorch"] = functools.partial(pytorch, crops)
        results[batch] = measure_speeds(runs, batch=batch, calls=calls)
    return results


def calls_per_turn(signature: Signature) -> dict[int, int]:
    """Return the measured calls per turn, by images per call: `CALLS`, or an entry for a fixed batch size."""
    return CALLS if signature.batch is None else {signature.batch: 2}


def repeat_photos(photos: list[Path], count: int) -> list[Path]:
    """Return `count` photos, repeating them if there are fewer."""
    return list(itertools.islice(itertools.cycle(photos), count))


def measure_speeds(runs: Mapping[str, Callable[[], object]], *, batch: int, calls: int) -> dict[str, Speed]:
    """Measure the speed of each run; see `time_calls`.

    Args:
        runs: Functions to measure, by name.
        batch: Images per call.
        calls: Measured calls of each function per turn.
    """
    return {
        name: Speed(
            batch=batch,
            latency_p50_ms=float(np.median(seconds)) * 1e3,
            latency_p95_ms=float(np.percentile(seconds, 95)) * 1e3,
            images_per_s=batch / float(np.median(seconds)),
        )
        for name, seconds in time_calls(runs, calls=calls).items()
    }


def time_calls(runs: Mapping[str, Callable[[], object]], *, calls: int) -> dict[str, list[float]]:
    """Return the seconds of each measured call, by name.

    Runs alternate for `TURNS` turns, so that temporary load on the machine affects all of them. Each turn starts with
    a warm-up of `WARM_S`, until the idle threads of the previous engine stop spinning.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(TURNS):
        for name, run in runs.items():
            warmup_start = time.perf_counter()
            while time.perf_counter() - warmup_start < WARM_S:
                run()
            for _ in range(calls):
                start = time.perf_counter()
                run()
                seconds[name].append(time.perf_counter() - start)
    return seconds


def _from_photos(pytorch: Engine, preprocess: Preprocess, images: list[Image.Image]) -> object:
    return pytorch(np.stack([preprocess(image) for image in images]))
