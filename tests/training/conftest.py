from __future__ import annotations

from pathlib import Path

import pytest

from ..conftest import write_photos


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 real photos of two classes, that nobody writes to."""
    return write_photos(tmp_path_factory.mktemp("data") / "train", 24)
