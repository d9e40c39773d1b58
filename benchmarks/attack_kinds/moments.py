"""Commands that are killed or interrupted at random moments, and run again."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.attack_kinds.arena import Arena, Ran, Try, kill_session, small_photos, written_files
from benchmarks.attack_kinds.checkpoints import tiny_checkpoint

KILLS = 60
INTERRUPTS = 40

_PHOTOS = 240
_INTERRUPTED_S = 2.0
_EARLIEST_S = 0.3
"""Before this, Python starts, and answers Ctrl+C by itself."""

_TURNS = ("index-add", "embed", "unbundle", "export-onnx") + ("index-add", "embed", "unbundle", "index-add") * 2
"""An export takes as long as ten others."""

_SAME = 0.9999
_RANDOM_NAME = re.compile(r"-[0-9a-f]{8}(?=\.faiss$)")
_ENDED = re.compile(r"(Progress is saved\. .+\n|Finished shards are saved\. .+\n)?Stopped\.\n")


@dataclass(frozen=True)
class Job:
    """A command to stop at random moments.

    Args:
        module: Module of the command.
        words: Arguments, for a folder of its own.
        result: Files that must be as after a run that was not stopped, below that folder, and their content if it is
            always the same. An array is compared by its cosines.
    """

    module: str
    words: Callable[[Path], list[object]]
    result: Callable[[Path], dict[str, object]]


def attack_kills(arena: Arena) -> Iterator[Try]:
    """Kill each command at random moments, alone or with its children, and run it again to its end."""
    jobs = _writing_jobs(arena)
    whole = {name: _whole(arena, "kills", name, job) for name, job in jobs.items()}
    numbers = range(arena.tries or KILLS)
    return arena.each(lambda number: [_kill(arena, number, jobs, whole)], numbers)


def attack_interrupts(arena: Arena) -> Iterator[Try]:
    """Press Ctrl+C at random moments, which reaches the children too. The command must end within two seconds."""
    jobs = _writing_jobs(arena)
    photos, data, tiny = arena.folder / "album", _labeled(arena), tiny_checkpoint(arena)
    library = arena.folder / "searched"
    arena.zoo("index", "add", photos, "-L", library, "--model", tiny, stop_s=120)
    query = next(photos.rglob("*.jpg"))
    nothing: Callable[[Path], dict[str, object]] = lambda _: {}  # noqa: E731
    jobs = {name: jobs[name] for name in ("index-add", "embed")} | {
        "search": Job("mvmr_zoo.cli", lambda _: ["search", query, "-L", library], nothing),
        "eval": Job("mvmr_zoo.cli", lambda _: ["eval", "knn", tiny, "--data", f"folder:{data}"], nothing),
    }
    whole = {name: _whole(arena, "interrupts", name, job) for name, job in jobs.items()}
    return arena.each(lambda number: [_interrupt(arena, number, jobs, whole)], range(arena.tries or INTERRUPTS))


Whole = dict[str, tuple[float, set[str], dict[str, object]]]


def _whole(arena: Arena, kind: str, name: str, job: Job) -> tuple[float, set[str], dict[str, object]]:
    """Seconds, files and results of a run that is not stopped."""
    folder = arena.place(kind, f"{name}-whole")
    ran = arena.run(job.module, *job.words(folder), home=folder, stop_s=300)
    if ran.code:
        raise SystemExit(f"{ran.shown} fails without an attack: {ran.stderr or ran.stopped}")
    return ran.seconds, _names(folder), job.result(folder)


def _kill(arena: Arena, number: int, jobs: dict[str, Job], whole: Whole) -> Try:
    random = arena.random(4, number)
    name = _TURNS[number % len(_TURNS)]
    job, (seconds, files, result) = jobs[name], whole[name]
    folder = arena.place("kills", f"{number:03}-{name}")
    words, moments, what, peak = job.words(folder), list[str](), list[str](), 0
    for _ in range(1 + int(random.integers(2))):  # the second kill hits a command that goes on
        moment, alone = float(random.uniform(0, 0.9 * seconds)), bool(random.integers(2))

        def kill(process: subprocess.Popen[bytes], moment: float = moment, alone: bool = alone) -> None:
            time.sleep(moment)
            if alone:
                process.kill()
            else:
                kill_session(process.pid)

        killed = arena.run(job.module, *words, home=folder, during=kill, stop_s=300)
        moments.append(f"{moment:.2f} s{' (alone)' if alone else ''}")
        what += [f"{killed.left} processes were left running"] if killed.left else []
        peak = max(peak, killed.peak_bytes)
    again = arena.run(job.module, *words, home=folder, stop_s=max(300.0, 10 * seconds))  # whole runs were alone
    what += [f"run again: {each}" for each in _stable_problems(again)]
    if again.code == 0:
        what += _differences(result, job.result(folder))
        if left := sorted(_names(folder) - files):
            what.append(f"left over: {left[:3]}")
        if gone := sorted(files - _names(folder)):
            what.append(f"missing: {gone[:3]}")
    if not what:
        shutil.rmtree(folder)
    peak = max(peak, again.peak_bytes)
    return Try(
        f"{number:03}-{name}", tuple(what), again.seconds, peak, f"{again.shown}  (SIGKILL after {', '.join(moments)})"
    )


def _names(folder: Path) -> set[str]:
    """Files below a folder, with names that are the same in every run."""
    return {_RANDOM_NAME.sub("", name) for name in written_files(folder)}


def _stable_problems(ran: Ran) -> list[str]:
    if ran.code or ran.stopped:
        return [f"exit code {ran.code} {ran.stopped}: {ran.stderr.strip()[-160:]}"]
    return [f"printed {ran.stderr.strip()[-160:]!r}"] if "Traceback" in ran.stderr else []


def _interrupt(arena: Arena, number: int, jobs: dict[str, Job], whole: Whole) -> Try:
    random = arena.random(5, number)
    name = list(jobs)[number % len(jobs)]
    seconds = whole[name][0]
    folder = arena.place("interrupts", f"{number:03}-{name}")
    moment = float(random.uniform(_EARLIEST_S, max(seconds, _EARLIEST_S)))
    times = list[float]()

    def press(process: subprocess.Popen[bytes]) -> None:
        time.sleep(moment)
        if process.poll() is None:
            times.append(time.perf_counter())
            os.killpg(process.pid, signal.SIGINT)
            process.wait(60)
            times.append(time.perf_counter())

    ran = arena.run(jobs[name].module, *jobs[name].words(folder), home=folder, during=press, stop_s=120)
    took = times[1] - times[0] if times else 0.0
    what = []
    if times and ran.code != 0:
        if took > _INTERRUPTED_S:
            what.append(f"ended {took:.1f} s after Ctrl+C")
        if ran.code != 130:
            what.append(f"exit code {ran.code}; expected 130")
        if not _ENDED.fullmatch(ran.stderr):
            what.append(f"printed {ran.stderr.strip()[-160:]!r}")
    if ran.left:
        what.append(f"{ran.left} processes were left running")
    return Try(f"{number:03}-{name}", tuple(what), took, ran.peak_bytes, f"{ran.shown}  (SIGINT after {moment:.2f} s)")


def _differences(expected: dict[str, object], found: dict[str, object]) -> list[str]:
    what = []
    for name, value in expected.items():
        other = found.get(name)
        if isinstance(value, np.ndarray) and isinstance(other, np.ndarray) and value.shape == other.shape:
            norms = np.linalg.norm(value, axis=1) * np.linalg.norm(other, axis=1)
            same = bool((np.sum(value * other, axis=1) >= _SAME * norms).all())
        else:
            same = not isinstance(value, np.ndarray) and value == other
        if not same:
            what.append(f"{name} differs from a run that was not stopped")
    return what + [f"{name} is there only after the kill" for name in found.keys() - expected.keys()]


def _writing_jobs(arena: Arena) -> dict[str, Job]:
    """Commands that write much, on a model and photos that are made once."""
    photos, tiny = arena.folder / "album", tiny_checkpoint(arena)
    if not photos.exists():
        photos.mkdir()
        for number in range(_PHOTOS):
            pixels = small_photos()[number % len(small_photos())].astype(np.int16) + (number % 40 - 20)
            Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(photos / f"{number:03}.jpg")
    bundle = arena.folder / "tiny.tar"
    if not bundle.exists():
        arena.zoo("bundle", tiny, "-o", bundle, stop_s=120)
    return {
        "index-add": Job(
            "mvmr_zoo.cli", lambda folder: ["index", "add", photos, "-L", folder / "library", "--model", tiny], _library
        ),
        "embed": Job(
            "mvmr_zoo.cli",
            lambda folder: ["embed", photos, "-o", folder / "vectors", "--model", tiny, "--shard-rows", 40],
            _vectors,
        ),
        "unbundle": Job("mvmr_zoo.cli", lambda folder: ["unbundle", bundle], _files(".cache/mvmr_zoo/tiny")),
        "export-onnx": Job(
            "export", lambda folder: ["onnx", tiny, folder / "out", "--allow-failed"], _files("out/model.onnx")
        ),
    }


def _library(folder: Path) -> dict[str, object]:
    """Paths and vectors of a library."""
    connection = sqlite3.connect(folder / "library" / "library.sqlite")
    rows = connection.execute("SELECT path, vector FROM photos ORDER BY path").fetchall()
    connection.close()
    vectors = np.stack([np.frombuffer(vector, np.float16).astype(np.float32) for _, vector in rows])
    return {"paths": [path for path, _ in rows], "vectors": vectors}


def _vectors(folder: Path) -> dict[str, object]:
    """Vectors of an embeddings folder by shard."""
    return {file.name: np.load(file).astype(np.float32) for file in (folder / "vectors").glob("img_emb/*.npy")}


def _files(name: str) -> Callable[[Path], dict[str, object]]:
    """Content of a file, or of the files of a folder."""

    def read(folder: Path) -> dict[str, object]:
        base = folder / name
        files = [base] if base.is_file() else [path for path in base.rglob("*") if path.is_file()]
        return {str(path.relative_to(folder)): path.read_bytes() for path in files}

    return read


def _labeled(arena: Arena) -> Path:
    """A data set of two classes, with `train` and `val`."""
    folder = arena.folder / "labeled"
    for number in range(120):
        pixels = small_photos()[number % len(small_photos())]
        path = folder / ("train" if number % 3 else "val") / f"class{number % 2}" / f"{number:03}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return folder
