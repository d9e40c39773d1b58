from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from export import speed
from export.photos import folder_photos
from export.speed import CALLS, calls_per_turn, compare_with_pytorch, measure_speeds, repeat_photos, time_calls
from mvmr_zoo.models.loading import load

from ..exported_folders import ExportedFolders


class Clock:
    """A clock that advances only while tasks run."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.ran: list[str] = []
        monkeypatch.setattr(speed, "time", SimpleNamespace(perf_counter=lambda: self.now))
        monkeypatch.setattr(speed, "WARM_S", 0.25)
        monkeypatch.setattr(speed, "TURNS", 4)

    def task(self, name: str, *seconds: float) -> object:
        """Return a task whose calls take each of `seconds` in turn."""
        calls = 0

        def run() -> None:
            nonlocal calls
            self.ran.append(name)
            self.now += seconds[calls % len(seconds)]
            calls += 1

        return run


def test_runs_alternate_and_warm_up_each_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    found = time_calls({"a": clock.task("a", 0.125), "b": clock.task("b", 0.0625)}, calls=3)
    assert {name: len(seconds) for name, seconds in found.items()} == {"a": 12, "b": 12}
    assert clock.ran == (["a"] * (2 + 3) + ["b"] * (4 + 3)) * 4
    assert set(found["a"]) == {0.125}
    assert set(found["b"]) == {0.0625}


def test_slow_runs_warm_up_with_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    time_calls({"slow": clock.task("slow", 3.0)}, calls=1)
    assert len(clock.ran) == (1 + 1) * 4


def test_percentiles_and_throughput(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    monkeypatch.setattr(speed, "WARM_S", 0.0)
    monkeypatch.setattr(speed, "TURNS", 1)
    steps = [0.01 * step for step in range(1, 22)]
    found = measure_speeds({"a": clock.task("a", *steps)}, batch=16, calls=21)["a"]
    assert found.batch == 16
    assert found.latency_p50_ms == pytest.approx(110)
    assert found.latency_p95_ms == pytest.approx(200)
    assert found.images_per_s == pytest.approx(16 / 0.11)


class RecordingEngine:
    """An engine that records its inputs."""

    def __init__(self) -> None:
        self.inputs: list[object] = []

    def __call__(self, images: object) -> None:
        self.inputs.append(images)


@pytest.mark.parametrize("kind", ["fp32", "sizes", "full"])
def test_both_engines_receive_the_same_photos(kind: str, exports: ExportedFolders) -> None:
    model = load(exports(kind))
    paths = folder_photos(exports.photos).measured
    signature = model.engine.signature
    onnx, pytorch = RecordingEngine(), RecordingEngine()
    found = compare_with_pytorch(onnx, pytorch, signature, paths)
    assert {batch: set(each) for batch, each in found.items()} == {batch: {"onnx", "pytorch"} for batch in CALLS}
    assert {len(images) for images in onnx.inputs} == set(CALLS)
    assert {images.shape for images in pytorch.inputs} == {(batch, 3, 32, 32) for batch in CALLS}
    assert all(images.dtype == np.float32 for images in pytorch.inputs)
    one = onnx.inputs[0][0]
    assert one.dtype == (np.float32 if kind == "fp32" else np.uint8)
    assert (one.shape[-1] == 3) == (kind == "full")


def test_fixed_batch_size_is_the_only_one_measured(exports: ExportedFolders) -> None:
    model = load(exports("three"))
    assert calls_per_turn(model.engine.signature) == {3: 2}
    found = compare_with_pytorch(
        model.engine, RecordingEngine(), model.engine.signature, folder_photos(exports.photos).measured
    )
    assert found.keys() == {3}
    assert found[3]["onnx"].batch == 3


def test_photos_are_repeated_to_fill_a_batch() -> None:
    photos = [Path(name) for name in "abc"]
    assert [path.name for path in repeat_photos(photos, 7)] == list("abcabca")
    assert repeat_photos(photos, 2) == photos[:2]
