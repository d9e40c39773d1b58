from __future__ import annotations

import dataclasses
from pathlib import Path

from mvmr_zoo.checkpoint import Checkpoint
from mvmr_zoo.checkpoint.card import Figure, Pin
from mvmr_zoo.models.catalog import CATALOG, HUB_CATALOG, hub_catalog_text, read_hub_catalog
from training.pin import pin_in_catalog, pinned_row

PIN = Pin(repo="org/tiny", revision="1" * 40, sha256="2" * 64)


def test_pinned_rows_read_back(checkpoint: Checkpoint, tmp_path: Path) -> None:
    config = dataclasses.replace(
        checkpoint.config, metrics={"a/knn-v1": Figure(value=0.5, low=0.25, high=0.75, images=8, source='say "x"')}
    )
    path = pin_in_catalog(config, PIN, tmp_path / "catalog.json")
    assert read_hub_catalog(path) == (pinned_row(config, PIN),)
    assert pinned_row(config, PIN).parameters == 1_207_840


def test_a_pinned_row_keeps_what_the_catalog_knew(checkpoint: Checkpoint) -> None:
    config = dataclasses.replace(
        checkpoint.config, name="resnet50-clip-kd", architecture="resnet50", embedding_dim=2048
    )
    row, before = pinned_row(config, PIN), CATALOG["resnet50-clip-kd"]
    assert (row.published, row.task, row.data) == (before.published, before.task, before.data)
    assert row.pin == PIN


def test_the_committed_file_is_what_is_written() -> None:
    assert hub_catalog_text(read_hub_catalog()) == HUB_CATALOG.read_text()
