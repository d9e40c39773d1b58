"""Two processes are one: the same loss and the same weights after steps on the joined batch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch

SCRIPT = Path(__file__).with_name("ranks.py")


def steps(output: Path, processes: int) -> dict[str, object]:
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"] if processes > 1 else []
    done = subprocess.run(
        [sys.executable, *launch, str(SCRIPT), str(output)], capture_output=True, text=True, cwd=SCRIPT.parents[2]
    )
    assert done.returncode == 0, done.stderr
    return torch.load(output, weights_only=True)


def test_two_processes_take_the_step_of_one(tmp_path: Path) -> None:
    one, two = steps(tmp_path / "one.pt", 1), steps(tmp_path / "two.pt", 2)
    torch.testing.assert_close(two["loss"], one["loss"], rtol=0, atol=1e-5)
    for name, weight in one["weights"].items():
        torch.testing.assert_close(two["weights"][name], weight, rtol=0, atol=1e-5, msg=name)
