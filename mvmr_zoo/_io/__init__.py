"""Shared helpers: atomic writes, what killed processes left, JSON, progress bars, the terminal."""

from __future__ import annotations

from mvmr_zoo._io.atomic import is_abandoned, replace_folder, scratch_folder, write_whole, written_whole
from mvmr_zoo._io.identity import Identity, identity_of
from mvmr_zoo._io.json_file import read_json_object
from mvmr_zoo._io.lazy import lazy_import
from mvmr_zoo._io.leftovers import sweep_leftovers
from mvmr_zoo._io.progress import Progress, progress_bar
from mvmr_zoo._io.regular_file import check_regular, open_regular, read_regular
from mvmr_zoo._io.terminal import SOME_FAILED, AsJson, counted, explain_errors, own_name

__all__ = [
    "SOME_FAILED",
    "AsJson",
    "Identity",
    "Progress",
    "check_regular",
    "counted",
    "explain_errors",
    "identity_of",
    "is_abandoned",
    "lazy_import",
    "open_regular",
    "own_name",
    "progress_bar",
    "read_json_object",
    "read_regular",
    "replace_folder",
    "scratch_folder",
    "sweep_leftovers",
    "write_whole",
    "written_whole",
]
