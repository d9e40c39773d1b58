"""Wavelet scattering against kymatio: the same coefficients, images a second, taking turns in one process.

    python benchmarks/scattering.py [--threads 2] [--rounds 9]

J = 2, L = 8, both orders, RGB. Of each round the ratio is taken; the table gives the median.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from kymatio.scattering2d.frontend.torch_frontend import ScatteringTorch2D

from training import Scattering

CASES = {32: 64, 96: 16, 224: 4}
"""Images in a call, by their side."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"{options.threads} threads\n\n| px | kymatio, images/s | ours, images/s | ratio | largest difference |")
    print("| --- | --- | --- | --- | --- |")
    for px, count in CASES.items():
        images = torch.rand(count, 3, px, px, generator=torch.Generator().manual_seed(0))
        theirs, ours = ScatteringTorch2D(J=2, shape=(px, px)), Scattering().maps
        expected, found = theirs(images), ours(images)  # and warm both
        difference = (found - expected).abs().amax(dim=(0, 1, 3, 4)) / expected.abs().amax(dim=(0, 1, 3, 4))
        times: list[tuple[float, float]] = []
        for _ in range(options.rounds):
            first = time.perf_counter()
            theirs(images)
            second = time.perf_counter()
            ours(images)
            times.append((second - first, time.perf_counter() - second))
        slow, fast = (statistics.median(column) for column in zip(*times, strict=True))
        ratio = statistics.median(a / b for a, b in times)
        print(f"| {px} | {count / slow:.1f} | {count / fast:.1f} | {ratio:.2f} | {difference.max():.0e} |", flush=True)


if __name__ == "__main__":
    main()
