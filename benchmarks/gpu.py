"""Every CUDA path of this repository against the CPU, and how fast it is: one command, one report.

    python benchmarks/gpu.py --output report.json [--budget 420] [--only NAME ...] [--quick] [--device cpu]

A check that fails does not stop the others. A check is skipped, with the reason, where its device or a library is
missing. The report is written after every check. Nothing needs a network or a data set. `--device cpu` rehearses the
script: both sides of every comparison run on the CPU. The exit code is 1 if a check failed.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(
    Path(__file__).resolve().parents[1]
)  # the checkout; this folder's demo.py would hide the package demo

from benchmarks.gpu_checks import CHECKS  # noqa: E402
from benchmarks.gpu_checks.report import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(CHECKS, __doc__))
