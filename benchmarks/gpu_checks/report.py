"""Runs the checks, writes the report after each, and prints a table."""

from __future__ import annotations

import argparse
import contextlib
import json
import platform
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu_checks.bench import Bench, DifferenceError, Figures, SkippedError
from mvmr_zoo.errors import MissingDependencyError, one_line

ROOT = Path(__file__).resolve().parents[2]

PACKAGES = (
    "torchvision", "pytorch-lightning", "numpy", "onnx", "onnxruntime", "onnxruntime-gpu", "faiss-cpu", "faiss-gpu",
    "timm", "triton",
)  # fmt: skip
OURS = ("mvmr_zoo", "training", "export", "benchmarks")
TRACEBACK_LINES = 8


Check = Callable[[Bench], Figures]


def main(checks: Mapping[str, Check], description: str | None, arguments: list[str] | None = None) -> int:
    """Run the checks, write the report and print the table. Returns the exit code: 1 if a check failed.

    Args:
        checks: Checks by name, in order. Each returns its figures, or raises SkippedError or DifferenceError.
        description: Text for `--help`.
        arguments: Command-line arguments. None reads `sys.argv`.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="the JSON report")
    parser.add_argument("--budget", type=float, default=420, help="seconds after which no further check starts")
    parser.add_argument("--only", nargs="+", choices=checks, metavar="NAME", help=f"checks: {', '.join(checks)}")
    parser.add_argument("--quick", action="store_true", help="tiny networks and images, whose speeds have no meaning")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--commit", help="commit for the report, if git is not available")
    options = parser.parse_args(arguments)
    began = time.perf_counter()
    report: dict[str, Any] = {"facts": facts(options), "checks": []}
    warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric|torch")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(options.device, options.quick, Path(folder))
        for name in options.only or checks:
            print(f"{name} ...", file=sys.stderr, flush=True)
            spent = time.perf_counter() - began > options.budget
            report["checks"].append(
                checked(name, checks[name], bench, f"the {options.budget:g} s are spent" if spent else None)
            )
            report["seconds"] = round(time.perf_counter() - began, 1)
            options.output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(table(report))
    return int(any(check["status"] == "failed" for check in report["checks"]))


def checked(name: str, check: Check, bench: Bench, skip: str | None) -> dict[str, Any]:
    """The entry of a check in the report: name, status, seconds, and figures or the error."""
    entry: dict[str, Any] = {"name": name, "status": "passed"}
    began = time.perf_counter()
    cuda = bench.device == "cuda"
    try:
        if skip is not None:
            raise SkippedError(skip)
        if cuda and not torch.cuda.is_available():
            raise SkippedError("PyTorch found no CUDA device")
        if cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        with contextlib.redirect_stdout(sys.stderr):
            entry["figures"] = rounded(check(bench))
        if cuda:
            entry["peak_gpu_memory_mib"] = torch.cuda.max_memory_allocated() >> 20
    except (SkippedError, MissingDependencyError) as error:
        entry |= {"status": "skipped", "reason": one_line(error)}
    except Exception as error:  # any error is the result of this check only
        if isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] not in OURS:
            entry |= {"status": "skipped", "reason": f"{error.name} is not installed"}
        else:
            kind = "" if isinstance(error, DifferenceError) else f"{type(error).__name__}: "
            lines = traceback.format_exc().strip().splitlines()[-TRACEBACK_LINES:]
            entry |= {"status": "failed", "error": kind + one_line(error), "traceback": lines}
    entry["seconds"] = round(time.perf_counter() - began, 2)
    print(f"{name}: {entry['status']} {entry.get('reason', entry.get('error', ''))}", file=sys.stderr, flush=True)
    return entry


def facts(options: argparse.Namespace) -> dict[str, Any]:
    """The hardware and software of the measurements."""
    cuda = torch.cuda.is_available()
    versions = {}
    for package in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            versions[package] = version(package)
    return {
        "device": options.device,
        "quick": options.quick,
        "gpu": torch.cuda.get_device_name() if cuda else None,
        "driver": _output("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if cuda else None,  # type: ignore[no-untyped-call]
        "nccl": ".".join(map(str, torch.cuda.nccl.version())) if cuda else None,  # type: ignore[no-untyped-call]
        "torch": torch.__version__,
        **versions,
        "python": platform.python_version(),
        "commit": options.commit or _output("git", "-C", str(ROOT), "rev-parse", "HEAD"),
    }


def rounded(value: Any) -> Any:
    """Floats with five significant digits, in dictionaries too."""
    if isinstance(value, dict):
        return {str(name): rounded(each) for name, each in value.items()}
    return float(f"{value:.5g}") if isinstance(value, float) and abs(value - 1) > 0.01 else value


def table(report: dict[str, Any]) -> str:
    """The report in Markdown."""
    known = report["facts"]
    lines = [
        f"{known['gpu'] or 'no GPU'}, driver {known['driver']}, CUDA {known['cuda']}, torch {known['torch']}, "
        f"commit {(known['commit'] or 'unknown')[:12]}, {report['seconds']:.0f} s in all"
        + (f"; a rehearsal on the {known['device'].upper()}" if known["device"] == "cpu" else ""),
        "",
        "| check | status | seconds | result |",
        "| --- | --- | ---: | --- |",
    ]
    for check in report["checks"]:
        result = check.get("reason") or check.get("error") or _short(check["figures"])
        lines.append(f"| {check['name']} | {check['status']} | {check['seconds']:.1f} | {result.replace('|', '/')} |")
    return "\n".join(lines)


def _short(figures: Figures, prefix: str = "") -> str:
    """Speeds and differences of a check."""
    parts = []
    for name, value in figures.items():
        if isinstance(value, dict):
            parts.append(_short(value, f"{prefix}{name} "))
        elif (
            "per_s" in prefix + name
            or "difference" in prefix + name
            or name.endswith(("cosine", "ms", "launches", "_s"))
        ):
            parts.append(f"{prefix}{name} {value:.4g}" if isinstance(value, float) else f"{prefix}{name} {value}")
    return ", ".join(part for part in parts if part)


def _output(*command: str) -> str | None:
    """The first line that a command prints; None if it cannot run."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.splitlines()
        return lines[0] if lines else None
    return None
