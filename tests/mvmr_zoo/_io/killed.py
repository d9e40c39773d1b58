"""Replaces a folder or a file again and again, killed before each of its system calls. Run by test_atomic.py.

    python -m tests.mvmr_zoo._io.killed FOLDER (folder|file) (exchange|renames)

Each try is a forked process that sends itself SIGKILL at the next event that Python's audit hooks report. The next
command, which sweeps FOLDER, is killed too, and another one ends. Then FOLDER/out must be the old or the new one,
whole, and nothing else may be there. With an exchange, it must be so at every moment. Prints the number of kills.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from mvmr_zoo._io import atomic, replace_folder, scratch_folder, sweep_leftovers, write_whole

FILES = ("config.json", "weights/a", "weights/b")
CONTENT_BYTES = 10_000


def write(out: Path, generation: int, kind: str) -> None:
    """Replace `out` by files that all state one generation."""
    content = f"{generation:05}" * (CONTENT_BYTES // 5)
    if kind == "file":
        write_whole(out, content)
        return
    with scratch_folder(out.parent) as scratch:
        work = scratch / "work"
        (work / "weights").mkdir(parents=True)
        for name in FILES:
            (work / name).write_text(content)
        replace_folder(work, out)


def generation_of(out: Path) -> int:
    """The generation that `out` has as a whole. Fails if it has several, or a part."""
    files = [out] if out.is_file() else [out / name for name in FILES]
    contents = {file.read_text() for file in files}
    assert len(contents) == 1, sorted(text[:5] for text in contents)
    (text,) = contents
    assert text == text[:5] * (CONTENT_BYTES // 5)
    return int(text[:5])


def killed_at(event: int, act: Callable[[], object]) -> bool:
    """Do something in a forked process that is killed before an audit event. False if it had fewer events."""
    process = os.fork()
    if process == 0:
        events = 0

        def count(name: str, _: object) -> None:
            nonlocal events
            events += 1
            if events == event + 1:  # the kill is an event too
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        act()
        os._exit(0)
    _, status = os.waitpid(process, 0)
    assert status in (0, signal.SIGKILL), status
    return status != 0


def main() -> None:
    """Kill at every event in turn."""
    folder, kind, way = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    if way == "renames":  # as on a file system that cannot swap
        atomic.exchange = lambda first, second: False
    out = folder / "out"
    write(out, 0, kind)
    kills, generation, absent, steps = 0, 0, 0, set()
    while killed_at(kills, partial(write, out, generation + 1, kind)):
        absent += not out.exists()
        killed_at(kills % 11, partial(sweep_leftovers, folder))
        sweep_leftovers(folder)
        found = generation_of(out)
        assert list(folder.iterdir()) == [out], list(folder.iterdir())
        steps.add(found - generation)
        generation = found
        kills += 1
    assert generation_of(out) == generation + 1
    assert steps == {0, 1}  # killed before and after the replacement
    assert absent == (way == "renames" and kind == "folder")
    print(kills)


if __name__ == "__main__":
    main()
