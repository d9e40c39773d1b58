from __future__ import annotations

from pathlib import Path

from demo.catalog import HEADS, model_rows, models_here
from demo.tabs.models import models_page
from mvmr_zoo import CATALOG
from mvmr_zoo.checkpoint import Checkpoint

from ..conftest import make_checkpoint


def test_every_model_has_a_row_those_on_this_machine_first(zoo: Path) -> None:
    make_checkpoint(zoo / "mine")
    rows = model_rows()
    assert {row.name for row in rows} == {*CATALOG, "mine"}
    here = [row.here for row in rows]
    assert here == sorted(here, key=lambda each: each == "no")
    assert set(here) == {"yes, in the package", "yes, imported", "no"}
    assert models_here() == [row.name for row in rows if row.here != "no"]


def test_published_and_measured_figures_are_apart(zoo: Path) -> None:
    rows = {row.name: row for row in model_rows()}
    ours, theirs = rows["resnet18-imagenette-kd"], rows["resnet50-stl10"]
    assert ours.published == ("—",)
    assert any(line.startswith("imagenette/knn@1 87.97 %") for line in ours.measured)
    assert theirs.measured == ("—",)
    assert "stl10/linear 89.67 %" in theirs.published


def test_sizes_are_those_of_the_folder_or_of_the_weights_to_fetch(zoo: Path) -> None:
    checkpoint: Checkpoint = make_checkpoint(zoo / "mine")
    rows = {row.name: row for row in model_rows()}
    size = sum(file.stat().st_size for file in checkpoint.folder.iterdir())
    assert rows["mine"].size == f"{size / 1e6:.1f} MB"
    assert rows["resnet50-stl10"].size == "about 94 MB to fetch"


def test_the_page_has_a_row_a_model_and_the_columns_named(zoo: Path) -> None:
    page = models_page()
    assert page.count("<tr>") == 1 + len(CATALOG)
    assert all(f'<th scope="col">{head}</th>' in page for head in HEADS)
