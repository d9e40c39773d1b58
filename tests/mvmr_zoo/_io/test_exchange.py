from __future__ import annotations

import os
from pathlib import Path

from mvmr_zoo._io.exchange import exchange


def test_folders_are_swapped(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / os.fsdecode(b"\xff")
    for folder in (first, second):
        folder.mkdir()
        (folder / "name").write_bytes(os.fsencode(folder.name))
    assert exchange(first, second)
    assert (first / "name").read_bytes() == b"\xff"
    assert (second / "name").read_text() == "first"


def test_nothing_changes_where_a_path_is_missing_or_on_another_file_system(tmp_path: Path) -> None:
    assert not exchange(tmp_path, tmp_path.with_name("missing"))
    assert not exchange(tmp_path, Path("/proc"))
    assert tmp_path.is_dir()
