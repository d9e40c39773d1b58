"""The weight-free graph beside a fully folded export: time to a ready session, and speed.

    python benchmarks/engines.py [--model SPEC] [--batch 32] [--rounds 15]

Both run in ONNX Runtime, in turn, in one process; the median of the ratios is the figure.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch

import mvmr_zoo
from mvmr_zoo.inference import OnnxEngine
from mvmr_zoo.models import BUNDLED_MODEL, find_checkpoint


def folded_session(model: mvmr_zoo.Model, folder: Path) -> ort.InferenceSession:
    """What torch.onnx writes with all its optimizations: weights inside, batch norm folded."""
    path = folder / "folded.onnx"
    px = model.preprocess.crop_px
    batch = torch.export.Dim.DYNAMIC
    torch.onnx.export(
        model.encoder,
        (torch.zeros(2, 3, px, px),),
        path,
        dynamo=True,
        dynamic_shapes=({0: batch},),
        input_names=["images"],
        output_names=["features"],
        external_data=False,
        verbose=False,
    )
    return ort.InferenceSession(path, providers=["CPUExecutionProvider"])


def main() -> None:
    """Print both figures and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=BUNDLED_MODEL)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    checkpoint = find_checkpoint(options.model)
    starts = []
    for _ in range(5):
        began = time.perf_counter()
        engine = OnnxEngine(checkpoint.graph(), checkpoint.weights())
        starts.append(time.perf_counter() - began)
    print(f"session ready in {statistics.median(starts):.2f} s (median of 5, first {starts[0]:.2f} s)")
    model = mvmr_zoo.load(options.model)
    px = model.preprocess.crop_px
    images = np.random.default_rng(0).standard_normal((options.batch, 3, px, px)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        folded = folded_session(model, Path(folder))
        runs = {
            "weight-free graph": lambda: engine(images),
            "folded export": lambda: folded.run(None, {"images": images}),
        }
        difference = np.abs(engine(images) - folded.run(None, {"images": images})[0]).max()
        seconds: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(options.rounds):
            for name, run in runs.items():
                began = time.perf_counter()
                run()
                seconds[name].append(time.perf_counter() - began)
    for name, times in seconds.items():
        print(f"{name:<18} {options.batch / statistics.median(times):8.1f} images/s at {px} px")
    ratios = [b / a for a, b in zip(*seconds.values(), strict=True)]
    print(
        f"speed of the weight-free graph / folded: {statistics.median(ratios):.3f}; largest difference {difference:.1e}"
    )


if __name__ == "__main__":
    main()
