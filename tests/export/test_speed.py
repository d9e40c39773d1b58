from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from export import speed
from export.photos import folder_photos
from export.speed import CALLS, beside_pytorch, calls_of, several, speeds, timed
from mvmr_zoo.models.loading import load

from ..exported_folders import ExportedFolders


class Clock:
    """Time that passes only in what is run."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.ran: list[str] = []
        monkeypatch.setattr(speed, "time", SimpleNamespace(perf_counter=lambda: self.now))
        monkeypatch.setattr(speed, "WARM_S", 0.25)
        monkeypatch.setattr(speed, "TURNS", 4)

    def task(self, name: str, *seconds: float) -> object:
        """Something that takes each of `seconds` in turn, again and again."""
        calls = 0

        def run() -> None:
            nonlocal calls
            self.ran.append(name)
            self.now += seconds[calls % len(seconds)]
            calls += 1

        return run


def test_runs_take_turns_and_are_warmed_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    found = timed({"a": clock.task("a", 0.125), "b": clock.task("b", 0.0625)}, calls=3)
    assert {name: len(seconds) for name, seconds in found.items()} == {"a": 12, "b": 12}
    assert clock.ran == (["a"] * (2 + 3) + ["b"] * (4 + 3)) * 4
    assert set(found["a"]) == {0.125}
    assert set(found["b"]) == {0.0625}


def test_a_run_longer_than_the_warming_is_made_once_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    timed({"slow": clock.task("slow", 3.0)}, calls=1)
    assert len(clock.ran) == (1 + 1) * 4


def test_percentiles_and_images_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    monkeypatch.setattr(speed, "WARM_S", 0.0)
    monkeypatch.setattr(speed, "TURNS", 1)
    steps = [0.01 * step for step in range(1, 22)]
    found = speeds({"a": clock.task("a", *steps)}, batch=16, calls=21)["a"]
    assert found.batch == 16
    assert found.latency_p50_ms == pytest.approx(110)
    assert found.latency_p95_ms == pytest.approx(200)
    assert found.images_per_s == pytest.approx(16 / 0.11)


class Noting:
    """An engine that notes what it is given."""

    def __init__(self) -> None:
        self.given: list[object] = []

    def __call__(self, images: object) -> None:
        self.given.append(images)


@pytest.mark.parametrize("kind", ["fp32", "sizes", "full"])
def test_both_engines_are_given_the_same_photos(kind: str, exports: ExportedFolders) -> None:
    model = load(exports(kind))
    paths = folder_photos(exports.photos).measured
    contract = model.engine.contract
    onnx, pytorch = Noting(), Noting()
    found = beside_pytorch(onnx, pytorch, contract, paths)
    assert {batch: set(each) for batch, each in found.items()} == {batch: {"onnx", "pytorch"} for batch in CALLS}
    assert {len(images) for images in onnx.given} == set(CALLS)
    assert {images.shape for images in pytorch.given} == {(batch, 3, 32, 32) for batch in CALLS}
    assert all(images.dtype == np.float32 for images in pytorch.given)
    one = onnx.given[0][0]
    assert one.dtype == (np.float32 if kind == "fp32" else np.uint8)
    assert (one.shape[-1] == 3) == (kind == "full")


def test_a_fixed_batch_is_the_only_one(exports: ExportedFolders) -> None:
    model = load(exports("three"))
    assert calls_of(model.engine.contract) == {3: 2}
    found = beside_pytorch(model.engine, Noting(), model.engine.contract, folder_photos(exports.photos).measured)
    assert found.keys() == {3}
    assert found[3]["onnx"].batch == 3


def test_few_photos_are_taken_again() -> None:
    photos = [Path(name) for name in "abc"]
    assert [path.name for path in several(photos, 7)] == list("abcabca")
    assert several(photos, 2) == photos[:2]
