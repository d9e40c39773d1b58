"""The kinds of attacks of `benchmarks/attacks.py`.

arena          common parts: the temporary folder, commands under watch, what a command may print
checkpoints    a tiny encoder for the kinds that do not need the default one
photos         mutated photos in eleven formats
bomb_files     small files that claim or unpack to much
bombs          those files through commands and the page
archives       crafted and damaged tar files
graphs         hostile ONNX graphs in three forms
page           a running page and its client
page_uploads   uploads that take much of it, and what another visitor notices
page_requests  hostile requests to it
moments        kills and Ctrl+C at random moments
special_files  pipes, sockets, devices, folders and loops in every position of a path
report         the command: runs the kinds, prints the table, writes the report
"""

from __future__ import annotations

from benchmarks.attack_kinds.archives import attack_archives
from benchmarks.attack_kinds.bombs import attack_bombs
from benchmarks.attack_kinds.graphs import attack_graphs
from benchmarks.attack_kinds.moments import attack_interrupts, attack_kills
from benchmarks.attack_kinds.page_requests import attack_page
from benchmarks.attack_kinds.photos import attack_photos
from benchmarks.attack_kinds.report import Kind
from benchmarks.attack_kinds.special_files import attack_special_files

KINDS: dict[str, Kind] = {
    "photos": attack_photos,
    "bombs": attack_bombs,
    "archives": attack_archives,
    "graphs": attack_graphs,
    "requests": attack_page,
    "kills": attack_kills,
    "special-files": attack_special_files,
    "interrupts": attack_interrupts,
}
"""Each kind yields its tries."""

__all__ = ["KINDS"]
