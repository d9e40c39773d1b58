"""A library of the tiny model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mvmr_zoo.checkpoint import Checkpoint
from mvmr_zoo.search import PhotoLibrary


@pytest.fixture
def library(tmp_path: Path, checkpoint: Checkpoint) -> Iterator[PhotoLibrary]:
    with PhotoLibrary(tmp_path / "library", model=str(checkpoint.folder)) as library:
        yield library
