"""Pipes, sockets, devices, folders and loops of links in every position where a command takes a path."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.attack_kinds.arena import STOP_S, Arena, Try
from benchmarks.attack_kinds.bombs import small_library
from benchmarks.attack_kinds.checkpoints import tiny_checkpoint

TRIES = 90
"""Of all combinations, drawn by the seed."""

_EXPORTS = 4
"""An export takes about as long as PyTorch takes to load, so many times."""


def attack_special_files(arena: Arena) -> Iterator[Try]:
    """Try kinds of files in positions. A command must end, and say in one line what is wrong if it cannot run."""
    folder = arena.place("special")
    photos, library = folder / "photos", folder / "library"
    small_library(arena, photos, library)
    bundle = folder / "tiny.tar"
    arena.zoo("bundle", tiny_checkpoint(arena), "-o", bundle, stop_s=120)
    arena.zoo("embed", photos, "-o", folder / "vectors", stop_s=120)
    _ = arena.torch_s  # measured before several commands run at once
    tries = [(position, kind) for position in POSITIONS for kind in KINDS]
    tries = [tries[at] for at in sorted(arena.random(6).permutation(len(tries))[: arena.tries or TRIES])]
    return arena.each(lambda each: [_try(arena, folder, *each)], tries)


def _try(arena: Arena, folder: Path, position: str, kind: str) -> Try:
    name = f"{position}-{kind}"
    place = arena.place("special", name)
    words = POSITIONS[position](folder, place, KINDS[kind])
    module = "export" if words[0] == "export" else "mvmr_zoo.cli"
    start_s = _EXPORTS * arena.torch_s if module == "export" else arena.torch_s
    ran = arena.run(module, *words[module == "export" :], stop_s=start_s + STOP_S)
    accepted = ran.code == 0 and position in _MUST_FAIL and kind != "folder"
    return arena.judged(name, ran, codes=(0, 1, 2), more=["it was accepted"] * accepted, start_s=start_s)


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        here = os.open(path.parent, os.O_RDONLY)  # a long path does not fit into an address
        made.bind(f"/proc/self/fd/{here}/{path.name}")
        os.close(here)


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _folder(path: Path) -> None:
    path.mkdir()


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


KINDS: dict[str, Callable[[Path], None]] = {
    "pipe": _pipe,
    "socket": _socket,
    "device": _device,
    "folder": _folder,
    "loop": _loop,
}
"""How to make each kind of file."""

Make = Callable[[Path], None]
Position = Callable[[Path, Path, Make], list[object]]


def _named(name: str, *words: str) -> Position:
    """The special file has a name, and stands for `FILE` in the words. `IN` is the common folder, `OWN` an own one."""

    def position(folder: Path, place: Path, make: Make) -> list[object]:
        make(place / name)
        known = {"FILE": str(place / name), "IN": str(folder), "OWN": str(place)}
        return [_filled(word, known) for word in words]

    return position


def _filled(word: str, known: dict[str, str]) -> str:
    for name, value in known.items():
        word = word.replace(name, value)
    return word


def _inside(name: str, *words: str, source: str = "tiny") -> Position:
    """The special file replaces a file in a copy of a model, a library or an embeddings folder, which is `FILE`."""

    def position(folder: Path, place: Path, make: Make) -> list[object]:
        base = folder.parent / "models" / "tiny" if source == "tiny" else folder / source
        copy = shutil.copytree(base, place / source)
        (copy / name).unlink(missing_ok=True)
        make(copy / name)
        known = {"FILE": str(copy), "IN": str(folder), "OWN": str(place)}
        return [_filled(word, known) for word in words]

    return position


def _listed(folder: Path, place: Path, make: Make) -> list[object]:
    make(place / "a.jpg")
    (place / "list.txt").write_text(f"a.jpg\n{folder}/photos/0.jpg\n")
    return ["embed", place / "list.txt", "-o", place / "vectors"]


POSITIONS: dict[str, Position] = {
    "photo-of-index-add": _named("a.jpg", "index", "add", "OWN", "-L", "OWN/library"),
    "folder-of-index-add": _named("a", "index", "add", "FILE", "-L", "OWN/library"),
    "library-of-index-add": _named("a", "index", "add", "IN/photos", "-L", "FILE"),
    "database": _named("library.sqlite", "index", "status", "-L", "OWN"),
    "index-manifest": _inside("index.json", "search", "IN/photos/0.jpg", "-L", "FILE", source="library"),
    "source-of-embed": _named("a", "embed", "FILE", "-o", "OWN/vectors"),
    "photo-of-embed": _listed,
    "parquet-of-embed": _named("a", "embed", "parquet:FILE", "-o", "OWN/vectors"),
    "output-of-embed": _named("a", "embed", "IN/photos", "-o", "FILE"),
    "plan-of-embed": _inside("plan.json", "embed", "IN/photos", "-o", "FILE", source="vectors"),
    "shard-of-embed": _inside("img_emb/img_emb_0.npy", "index", "build", "--from", "FILE", source="vectors"),
    "manifest-of-embed": _inside("manifest.json", "vectors", "--from", "FILE", "-o", "OWN/a.parquet", source="vectors"),
    "query": _named("a.jpg", "search", "FILE", "-L", "IN/library"),
    "unlike": _named("a.jpg", "search", "IN/photos/0.jpg", "--unlike", "FILE", "-L", "IN/library"),
    "sheet": _named("a.jpg", "search", "IN/photos/0.jpg", "--sheet", "FILE", "-L", "IN/library"),
    "report-of-duplicates": _named("a.json", "duplicates", "-o", "FILE", "-L", "IN/library"),
    "output-of-vectors": _named("a.parquet", "vectors", "-o", "FILE", "-L", "IN/library"),
    "parts-of-gather": _named("a", "gather", "FILE", "-o", "OWN/vectors"),
    "config-of-model": _inside("config.json", "verify", "FILE"),
    "weights-of-model": _inside("model.safetensors", "verify", "FILE"),
    "graph-of-model": _inside("graph.onnx", "verify", "FILE"),
    "golden-of-model": _inside("golden.safetensors", "info", "FILE"),
    "card-of-model": _inside("README.md", "bundle", "FILE", "-o", "OWN/a.tar"),
    "model": _named("a", "info", "FILE"),
    "onnx-model": _named("a.onnx", "info", "onnx:FILE"),
    "weights-at-model": _named("a.pth", "info", "torchvision:resnet18@FILE"),
    "weights-of-import": _named("a.pth", "import", "FILE", "--as", "a", "--preprocess", "imagenet"),
    "preprocess-of-import": _named("a.json", "import", "IN/tiny.tar", "--as", "a", "--preprocess", "FILE"),
    "bundle": _named("a.tar", "unbundle", "FILE"),
    "output-of-bundle": _named("a.tar", "bundle", "IN/../models/tiny", "-o", "FILE"),
    "data-of-eval": _named("a", "eval", "knn", "IN/../models/tiny", "--data", "folder:FILE"),
    "parquet-of-eval": _named("a.parquet", "eval", "knn", "IN/../models/tiny", "--data", "parquet:FILE"),
    "reports": _named("a.json", "eval", "table", "--reports", "OWN"),
    "table": _named("a.md", "eval", "table", "--reports", "OWN", "--write", "FILE"),
    "report-of-export": _named("export.json", "export", "check", "OWN"),
    "output-of-export": _named("a", "export", "onnx", "IN/../models/tiny", "FILE"),
    "images-of-export": _named("a", "export", "onnx", "IN/../models/tiny", "OWN/out", "--images", "FILE"),
}
"""Command lines by position."""

_MUST_FAIL = ("source-of-embed", "query", "unlike", "config-of-model", "weights-of-model", "graph-of-model", "bundle",
              "weights-of-import", "database", "onnx-model", "model", "data-of-eval")  # fmt: skip
