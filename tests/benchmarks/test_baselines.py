from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import baselines
from mvmr_zoo.datasets import open_splits
from mvmr_zoo.evaluate import RAW_PIXELS, raw_pixels, read_report, retrieval
from tests.conftest import write_photos


def test_retrieval_with_random_weights_and_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo_folder = write_photos(tmp_path / "photos", 40)
    words = ["baselines.py", "retrieval", f"folder:{photo_folder}", "--output", str(tmp_path / "reports")]
    monkeypatch.setattr(sys, "argv", words)
    baselines.main()
    pixels = read_report(tmp_path / "reports" / "pixels-photos-retrieval.json")
    test = open_splits(f"folder:{photo_folder}").test
    expected = retrieval(raw_pixels(test.image(row) for row in range(len(test))), test.labels).mean_average_precision
    assert pixels.model == RAW_PIXELS
    assert pixels.figures["photos/retrieval-v1/map"].value == pytest.approx(expected, abs=1e-4)
    untrained = read_report(tmp_path / "reports" / "untrained-photos-retrieval.json")
    assert untrained.model == "effnet-lite1-whitened, untrained"
    assert untrained.dim == 1280
    assert 0 < untrained.figures["photos/retrieval-v1/map"].value <= 1
