"""Commands of the photo library, killed at random moments: nothing lost, the next goes on, the doctor is content.

    python benchmarks/kills.py PHOTO-FOLDER [--kills 20] [--photos-used 900] [--folder-kills 200]

Photos of PHOTO-FOLDER are linked into a folder of their own, and come and go there. A command is drawn: `add` after
photos came, `remove` of a subfolder, `prune` after a third went (which compacts the index), `tune`. It is killed at a
random moment of the time it takes, and run again to its end. Then the library must hold what the folder holds, with
the vectors of a library that was never killed. Above 300 photos the index is an inverted file here, so that `tune`
and its files are tried too.

Before that, processes that replace a folder of forty files again and again are killed. After each kill the folder must
be whole, of one generation, and at the end nothing else may be beside it. Half of them move folders by two renames, as
on a file system that cannot swap two folders: there the next process must restore the folder first.
"""

from __future__ import annotations

import argparse
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

COMMAND = """
import sys
from mvmr_zoo.search import refresh as build
build.EXACT_LIMIT = 300
from mvmr_zoo.cli import main
main()
"""
FOLDERS = 9

REPLACE = """
import sys
from pathlib import Path
from mvmr_zoo._io import atomic, replace_folder, scratch_folder
out, generation = Path(sys.argv[1]), int(sys.argv[2])
if sys.argv[3] == "renames":
    atomic.exchange = lambda first, second: False
while True:
    with scratch_folder(out.parent) as scratch:
        work = scratch / "work"
        work.mkdir()
        for number in range(40):
            (work / f"{number}").write_text(f"{generation:09}" * 20_000)
        replace_folder(work, out)
    print(generation, flush=True)
    generation += 1
"""


def command(*arguments: object) -> list[str]:
    """A command line of `mvmr-zoo index`."""
    return [sys.executable, "-c", COMMAND, "index", *map(str, arguments)]


def run(*arguments: object) -> float:
    """Run one to its end; returns its seconds."""
    began = time.perf_counter()
    done = subprocess.run(command(*arguments), capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{arguments} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return time.perf_counter() - began


def killed(random: np.random.Generator, seconds: float, *arguments: object) -> bool:
    """Run one and kill it; returns whether it was still at work."""
    process = subprocess.Popen(command(*arguments), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(float(random.uniform(0, seconds)))
    os.kill(process.pid, signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def folder_kills(random: np.random.Generator, kills: int, way: str) -> int:
    """Kill processes that replace a folder; returns how often the folder was absent before the next one began."""
    from mvmr_zoo._io import sweep_leftovers

    absent, before, began = 0, 0, 0
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "out"
        for _ in range(kills):
            command = [sys.executable, "-c", REPLACE, str(out), str(began), way]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
                assert process.stdout is not None
                process.stdout.readline()
                time.sleep(float(random.uniform(0, 0.1)))
                process.kill()
                lines = process.stdout.read().split()
            before = int(lines[-1]) if lines else began
            absent += not out.exists()
            if way == "renames":
                sweep_leftovers(out.parent)
            texts = {file.read_text() for file in out.iterdir()}
            assert len(texts) == 1, (way, sorted(text[:9] for text in texts))
            found = int(texts.pop()[:9])
            assert found in (before, before + 1), (found, before)
            assert len(list(out.iterdir())) == 40
            began = found + 1
        sweep_leftovers(out.parent)
        assert [path.name for path in out.parent.iterdir()] == ["out"]
    return absent


def vectors(library: Path) -> dict[bytes, np.ndarray]:
    """Every photo's vector by path."""
    connection = sqlite3.connect(library / "library.sqlite")
    found = connection.execute("SELECT path, vector FROM photos").fetchall()
    connection.close()
    return {path: np.frombuffer(vector, np.float16).astype(np.float32) for path, vector in found}


def main() -> None:
    """Kill, and check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--photos-used", type=int, default=900)
    parser.add_argument("--folder-kills", type=int, default=200)
    options = parser.parse_args()
    for way in ("exchange", "renames"):
        absent = folder_kills(np.random.default_rng(0), options.folder_kills // 2, way)
        print(f"folders replaced by {way}: {options.folder_kills // 2} killed; absent before the next began: {absent}")
        assert absent == 0 or way == "renames"
    files = sorted(options.photos.resolve().rglob("*.JPEG")) or sorted(options.photos.resolve().rglob("*.jpg"))
    files = files[:: max(1, len(files) // options.photos_used)][: options.photos_used]
    random, kills, tried = np.random.default_rng(0), Counter[str](), 0
    with tempfile.TemporaryDirectory() as scratch:
        root, library = Path(scratch).resolve() / "photos", Path(scratch) / "library"

        def put(some: int) -> None:
            for number, path in enumerate(files):
                link = root / f"{number % FOLDERS}" / f"{number:05}.jpg"
                link.parent.mkdir(parents=True, exist_ok=True)
                if number % FOLDERS < some and not link.is_symlink():
                    link.symlink_to(path)

        put(FOLDERS)
        seconds = {"add": run("add", root, "-L", library)}
        whole = vectors(library)
        assert len(whole) == len(files)
        while kills.total() < options.kills:
            name = ("add", "remove", "prune", "tune")[int(random.integers(4))]
            there = {os.fsencode(path) for path in root.rglob("*.jpg")}
            arguments: list[object] = [name, "-L", library]
            match name:
                case "add":
                    put(FOLDERS)
                    there = {os.fsencode(path) for path in root.rglob("*.jpg")}
                    arguments.insert(1, root)
                case "remove":
                    folder = root / f"{random.integers(FOLDERS)}"
                    if not any(os.fsencode(folder) + b"/" in path for path in vectors(library)):
                        continue
                    for path in folder.glob("*"):
                        path.unlink()
                    there = {path for path in there if not path.startswith(os.fsencode(folder) + b"/")}
                    arguments.insert(1, folder)
                case "prune":
                    for path in sorted(there)[::3]:
                        Path(os.fsdecode(path)).unlink()
                    there -= set(sorted(there)[::3])
                    run("add", root, "-L", library)
            tried += 1
            if killed(random, seconds.get(name, seconds["add"]), *arguments):
                kills[name] += 1
            if name != "remove" or any(path.startswith(os.fsencode(folder)) for path in vectors(library)):
                seconds[name] = run(*arguments)
            run("add", root, "-L", library)
            run("doctor", "-L", library)
            found = vectors(library)
            assert found.keys() == there, (name, len(found), len(there))
            cosines = [
                float(found[path] @ whole[path] / np.linalg.norm(found[path]) / np.linalg.norm(whole[path]))
                for path in found
            ]
            assert min(cosines) >= 0.9999, min(cosines)
            print(f"{name:<7} {kills.total():>3} killed of {tried}; {len(found)} photos, doctor content", flush=True)
    print(f"killed: {dict(kills)}; nothing was lost")


if __name__ == "__main__":
    main()
