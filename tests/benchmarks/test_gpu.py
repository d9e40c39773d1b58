"""`benchmarks/gpu.py` where there is no GPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu_checks.bench import Bench, Figures, expect
from benchmarks.gpu_checks.report import main

from ..environment import ROOT, clean_environment

NAMES = [
    "train-bf16", "train-fp16", "train-fp32", "distill", "resume", "embed-bundled", "embed-resnet50", "scattering",
    "distance-correlation", "representations", "ddp", "onnxruntime", "faiss", "library", "export", "compile",
]  # fmt: skip


def report_of(folder: Path, *options: str) -> tuple[list[dict[str, Any]], str]:
    """The report's checks, and what was printed."""
    output = folder / "report.json"
    command = [sys.executable, str(ROOT / "benchmarks" / "gpu.py"), "--output", str(output), *options]
    hidden = {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=folder, env=clean_environment(folder, **hidden), capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    checks: list[dict[str, Any]] = json.loads(output.read_text(encoding="utf-8"))["checks"]
    for check in checks:
        assert f"| {check['name']} | {check['status']} |" in done.stdout
    return checks, done.stdout


def test_without_a_gpu_every_check_is_skipped_by_name(tmp_path: Path) -> None:
    checks, _ = report_of(tmp_path)
    assert [check["name"] for check in checks] == NAMES
    assert {(check["status"], check["reason"]) for check in checks} == {("skipped", "PyTorch found no CUDA device")}


def test_a_rehearsal_compares_both_sides(tmp_path: Path) -> None:
    names = ["train-fp32", "scattering", "distance-correlation", "representations", "faiss", "train-fp16"]
    checks, printed = report_of(tmp_path, "--device", "cpu", "--quick", "--only", *names)
    status = {check["name"]: check["status"] for check in checks}
    assert status == dict.fromkeys(names[:-1], "passed") | {"train-fp16": "skipped"}
    figures = {check["name"]: check.get("figures", {}) for check in checks}
    assert figures["train-fp32"]["relative_difference"] <= 1e-3
    assert figures["scattering"]["32_px"]["images_per_s"] > 0
    assert "rehearsal on the CPU" in printed


def missing(bench: Bench) -> Figures:
    raise ModuleNotFoundError(name="onnxruntime.capi")


def renamed(bench: Bench) -> Figures:
    raise ModuleNotFoundError("No module named 'mvmr_zoo.old'", name="mvmr_zoo.old")


def different(bench: Bench) -> Figures:
    expect(False, "the values differ")
    return {}


def broken(bench: Bench) -> Figures:
    raise RuntimeError("CUDA\nerror")


def fine(bench: Bench) -> Figures:
    return {"images_per_s": 1234.5678, "by": {"loss_difference": 0.25}}


def run(tmp_path: Path, *options: str) -> tuple[int, list[dict[str, Any]]]:
    checks = {each.__name__: each for each in (missing, renamed, different, broken, fine)}
    code = main(checks, None, ["--output", str(tmp_path / "report.json"), "--device", "cpu", *options])
    return code, json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["checks"]


def test_one_bad_check_does_not_stop_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, checks = run(tmp_path)
    assert code == 1
    assert [check["status"] for check in checks] == ["skipped", "failed", "failed", "failed", "passed"]
    assert checks[0]["reason"] == "onnxruntime.capi is not installed"
    assert checks[2]["error"] == "the values differ"
    assert checks[3]["error"] == "RuntimeError: CUDA error"
    assert "raise RuntimeError" in "\n".join(checks[3]["traceback"])
    assert checks[4]["figures"] == {"images_per_s": 1234.6, "by": {"loss_difference": 0.25}}
    assert "| fine | passed | 0.0 | images_per_s 1235, by loss_difference 0.25 |" in capsys.readouterr().out


def test_a_spent_budget_skips_by_name(tmp_path: Path) -> None:
    code, checks = run(tmp_path, "--budget", "0")
    assert code == 0
    assert [check["name"] for check in checks] == ["missing", "renamed", "different", "broken", "fine"]
    assert {check["reason"] for check in checks} == {"the 0 s are spent"}
