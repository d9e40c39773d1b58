"""Compare every CUDA path of this repository with the CPU, measure its speed, and write one report.

    python benchmarks/gpu.py --output report.json [--budget 420] [--only NAME ...] [--quick] [--device cpu]

A check that fails does not stop the others. A check is skipped, with the reason, if its device or a library is
missing. The report is written after every check. No network and no data set are needed. With `--device cpu`, both
sides of every comparison run on the CPU, as a test of the script. The exit code is 1 if a check failed.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(
    Path(__file__).resolve().parents[1]
)  # the checkout, because demo.py in this folder would hide the package demo

from benchmarks.gpu_checks import CHECKS  # noqa: E402
from benchmarks.gpu_checks.report import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(CHECKS, __doc__))
