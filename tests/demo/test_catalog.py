from __future__ import annotations

from pathlib import Path

from demo.catalog import HEADERS, local_models, model_rows, models_table
from mvmr_zoo import CATALOG
from mvmr_zoo.checkpoint import Checkpoint

from ..conftest import make_checkpoint


def test_all_models_have_a_row_with_local_ones_first(zoo: Path) -> None:
    make_checkpoint(zoo / "mine")
    rows = model_rows()
    assert {row.name for row in rows} == {*CATALOG, "mine"}
    locations = [row.location for row in rows]
    assert locations == sorted(locations, key=lambda each: each == "no")
    assert set(locations) == {"yes, bundled", "yes, imported", "no"}
    assert local_models() == [row.name for row in rows if row.location != "no"]


def test_published_and_measured_figures_are_separate(zoo: Path) -> None:
    rows = {row.name: row for row in model_rows()}
    ours, theirs = rows["effnet-lite1-whitened"], rows["resnet50-stl10"]
    assert ours.published == ("—",)
    assert any(line.startswith("imagenette/knn-v1/aligned 9") for line in ours.measured)
    assert theirs.measured == ("—",)
    assert "stl10/linear 89.67 %" in theirs.published


def test_sizes_of_local_and_remote_models(zoo: Path) -> None:
    checkpoint: Checkpoint = make_checkpoint(zoo / "mine")
    rows = {row.name: row for row in model_rows()}
    size = sum(file.stat().st_size for file in checkpoint.folder.iterdir())
    assert rows["mine"].size == f"{size / 1e6:.1f} MB"
    assert rows["resnet50-stl10"].size == "about 94 MB to download"


def test_models_table_has_all_rows_and_columns(zoo: Path) -> None:
    page = models_table()
    assert page.count("<tr>") == 1 + len(CATALOG)
    assert all(f'<th scope="col">{header}</th>' in page for header in HEADERS)
