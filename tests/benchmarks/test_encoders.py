from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from PIL import Image

from benchmarks import encoders
from mvmr_zoo.checkpoint import Checkpoint
from mvmr_zoo.evaluate import RAW_PIXELS, read_report

REPORTS = Path(encoders.__file__).parents[1] / "reports" / "encoders"


def typed(monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    monkeypatch.setattr(sys, "argv", ["encoders.py", *map(str, words)])
    encoders.main()


def test_speed_is_measured_and_drawn_with_the_reports(
    photo_folder: Path, checkpoint: Checkpoint, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    specs = (checkpoint.folder, "effnet-lite:0")
    typed(monkeypatch, "speed", photo_folder, *specs, "--output", tmp_path, "--count", 6, "--rounds", 2)
    measured = json.loads((tmp_path / "speed.json").read_text())
    assert [row["model"] for row in measured["encoders"]] == ["tiny", "effnet-lite:0", RAW_PIXELS]
    assert all(0 < row["least_ms"] <= row["ms"] for row in measured["encoders"])
    assert measured["encoders"][1]["megabytes"] == pytest.approx(4 * 3.371, abs=0.1)
    for path in REPORTS.glob("effnet-lite-0-*-retrieval.json"):
        (tmp_path / path.name).write_text(path.read_text())
    capsys.readouterr()
    typed(monkeypatch, "picture", tmp_path, "--output", tmp_path / "drawn.png")
    with Image.open(tmp_path / "drawn.png") as drawn:
        assert drawn.size == (1050, 630)
    out = capsys.readouterr().out
    assert "| `effnet-lite:0` |" in out
    assert f"{measured['encoders'][1]['ms']:.1f}" in out


def test_the_table_has_the_figures_of_the_reports_best_first() -> None:
    rows, names = encoders.encoders(REPORTS)
    assert {"clothing", "mini-imagenet-20"} <= set(names)
    assert [row.mean for row in rows] == sorted((row.mean for row in rows), reverse=True)
    (lite,) = (row for row in rows if row.name == "effnet-lite:0")
    report = read_report(REPORTS / "effnet-lite-0-clothing-retrieval.json")
    assert lite.figures["clothing"] == report.figures["clothing/retrieval-v1/map"].value
    assert len(encoders.table(rows, names).splitlines()) == len(rows) + 2


def test_an_encoder_that_was_not_timed_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = encoders.Encoder("slow", {"data": 0.5}, None, None, 8)
    encoders.picture([row, encoders.Encoder("fast", {"data": 0.4}, 3.0, 7.0, 8)], tmp_path / "p.png")
    assert capsys.readouterr().out == "slow is not in the picture: it was not timed.\n"


def test_without_reports_nothing_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        typed(monkeypatch, "picture", tmp_path, "--output", tmp_path / "p.png")
    assert "has no retrieval reports" in capsys.readouterr().err


def test_the_readme_has_the_table_of_the_reports() -> None:
    readme = (REPORTS.parents[1] / "README.md").read_text(encoding="utf-8")
    shown = readme.partition("<!-- encoders: begin -->\n")[2].partition("\n<!-- encoders: end -->")[0]
    assert shown == encoders.table(*encoders.encoders(REPORTS))
