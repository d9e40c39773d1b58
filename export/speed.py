"""How fast things run, taken in turn so that they meet the same machine."""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from export.inputs import prepared, read

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image

    from mvmr_zoo.images import Preprocess
    from mvmr_zoo.inference import Engine
    from mvmr_zoo.models.exported import Signature


@dataclass(frozen=True)
class Speed:
    """How fast something ran.

    Args:
        batch: images a call.
        latency_p50_ms: median of a call.
        latency_p95_ms: 95th percentile of a call.
        images_per_s: by the median call.
    """

    batch: int
    latency_p50_ms: float
    latency_p95_ms: float
    images_per_s: float


CALLS = {1: 10, 16: 2}
"""Counted calls a turn by images a call, for a certificate."""

TURNS = 4
WARM_S = 0.25


def beside_pytorch(
    engine: Engine, pytorch: Engine, contract: Signature, photos: list[Path]
) -> dict[int, dict[str, Speed]]:
    """The speed of an export and of PyTorch on the same photos, by batch size.

    Both start from what `model.onnx` reads; where that is the whole photo, PyTorch's time includes Python's
    preprocessing.

    Args:
        engine: of the exported folder.
        pytorch: of the encoder it was made from.
        contract: of the export.
        photos: files, 16 at least.
    """
    found = {}
    for batch, calls in calls_of(contract).items():
        images = read(contract, several(photos, batch))
        given = prepared(contract, images)
        crops = np.stack([contract.preprocess(image) for image in images])
        runs: dict[str, Callable[[], object]] = {"onnx": functools.partial(engine, given)}
        if contract.stage == "full":
            runs["pytorch"] = functools.partial(_from_photos, pytorch, contract.preprocess, images)
        else:
            runs["pytorch"] = functools.partial(pytorch, crops)
        found[batch] = speeds(runs, batch=batch, calls=calls)
    return found


def calls_of(contract: Signature) -> dict[int, int]:
    """Counted calls a turn by images a call: `CALLS`, or a fixed batch's."""
    return CALLS if contract.batch is None else {contract.batch: 2}


def several(photos: list[Path], count: int) -> list[Path]:
    """So many photos, some more than once where there are fewer."""
    return list(itertools.islice(itertools.cycle(photos), count))


def speeds(runs: Mapping[str, Callable[[], object]], *, batch: int, calls: int) -> dict[str, Speed]:
    """The speed of each run; see `timed`.

    Args:
        runs: calls by name.
        batch: images each call takes.
        calls: counted calls of each, in each of `TURNS` turns.
    """
    return {
        name: Speed(
            batch=batch,
            latency_p50_ms=float(np.median(seconds)) * 1e3,
            latency_p95_ms=float(np.percentile(seconds, 95)) * 1e3,
            images_per_s=batch / float(np.median(seconds)),
        )
        for name, seconds in timed(runs, calls=calls).items()
    }


def timed(runs: Mapping[str, Callable[[], object]], *, calls: int) -> dict[str, list[float]]:
    """Seconds of every counted call, by name.

    Runs take turns, several times, so that a slow spell of the machine meets all of them. Each turn begins with calls
    that are not counted, for a quarter of a second, until the idle threads of whatever ran before stop spinning.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(TURNS):
        for name, run in runs.items():
            begun = time.perf_counter()
            while time.perf_counter() - begun < WARM_S:
                run()
            for _ in range(calls):
                start = time.perf_counter()
                run()
                seconds[name].append(time.perf_counter() - start)
    return seconds


def _from_photos(pytorch: Engine, preprocess: Preprocess, images: list[Image.Image]) -> object:
    return pytorch(np.stack([preprocess(image) for image in images]))
