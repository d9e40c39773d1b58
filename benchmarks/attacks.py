"""Attack the commands and the page with hostile files, requests and moments, and report what does not hold.

    python benchmarks/attacks.py [--only KIND ...] [--tries N] [--seed N] [--keep FOLDER] [--output FILE]

Everything is generated from the seed, in a temporary folder, and runs in real processes. Nothing leaves this machine.
A try holds if its command ends in time with an expected exit code, takes little memory, prints only lines meant for
people, leaves no process and nothing half written, and loses nothing. `worst time` is the longest command of a kind,
its start included. `peak memory` is that of all processes of a command together. The exit code is 1 if something did
not hold. Linux only, because processes are watched in `/proc`.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(
    Path(__file__).resolve().parents[1]
)  # the checkout, because demo.py in this folder would hide the package demo

from benchmarks.attack_kinds import KINDS  # noqa: E402
from benchmarks.attack_kinds.report import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(KINDS, __doc__))
