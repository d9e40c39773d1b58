from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import whitening
from mvmr_zoo.models import find_checkpoint
from mvmr_zoo.models.catalog import BUNDLED_MODEL
from tests.conftest import write_photos


def test_components_get_the_scale_of_another_exponent() -> None:
    checkpoint = find_checkpoint(BUNDLED_MODEL)
    assert checkpoint.alignment is not None
    matrix, made_with = checkpoint.alignment.matrix, checkpoint.config.training["whiten"]["whitening"]
    np.testing.assert_allclose(whitening.rescaled(checkpoint, made_with), matrix, rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(whitening.rescaled(checkpoint, 0), axis=1), 1, rtol=1e-5)
    lengths = np.linalg.norm(whitening.rescaled(checkpoint, 2 * made_with), axis=1)
    np.testing.assert_allclose(lengths, np.linalg.norm(matrix, axis=1) ** 2, rtol=1e-5)


def test_the_report_has_every_exponent_and_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = write_photos(tmp_path / "photos", 40)
    words = ["whitening.py", BUNDLED_MODEL, str(photos), "--exponents", "0", "0.25", "--output", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", words)  # the script reads its command line
    whitening.main()
    found = json.loads((tmp_path / "whitening.json").read_text())["map_by_exponent"]
    assert list(found) == ["features", "0", "0.25"]
    assert all(0 < figures["photos"] <= 1 for figures in found.values())
