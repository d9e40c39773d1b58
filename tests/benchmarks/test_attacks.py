"""The harness of attacks notices what must not happen: each of its criteria fails for a command that breaks it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.attack_kinds import KINDS, arena, bomb_files, moments, photos
from benchmarks.attack_kinds.archives import CRAFTED
from benchmarks.attack_kinds.arena import Arena, Try, problems
from benchmarks.attack_kinds.report import main

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/smaps_rollup"), reason="processes are watched in /proc")


@pytest.fixture
def ground(tmp_path: Path) -> Arena:
    return Arena(tmp_path, measured={"start_s": 60.0})


def run(ground: Arena, code: str, **options: object) -> arena.Ran:
    """Run Python code in place of a command."""
    (ground.folder / "stub.py").write_text(code)
    return ground.run("stub", **options)  # type: ignore[arg-type]


def test_a_plain_command_holds(ground: Arena) -> None:
    ran = run(ground, "import sys; print('Error: no such file.', file=sys.stderr); sys.exit(2)")
    assert problems(ran, 60, codes=(2,)) == []
    assert ran.peak_bytes > 1_000_000


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("raise ValueError('a defect')", "exit code 1: ValueError: a defect"),
        ("raise ValueError('a defect')", "traceback: ValueError: a defect"),
        (
            "import sys; print('TIFFFill: bad', file=sys.stderr)",
            "1 foreign lines on the terminal: TIFFFill: bad",
        ),
        ("import sys; print('Error: a\\nError: b', file=sys.stderr)", "more than one line of errors"),
        ("print('\\x1b[31m')", "escape characters on the terminal"),
        ("import os; os.kill(os.getpid(), 11)", "exit code -11: no message"),
    ],
)
def test_what_a_command_prints_and_how_it_ends(ground: Arena, code: str, problem: str) -> None:
    assert problem in problems(run(ground, code), 60)


def test_a_command_that_does_not_end_is_killed(ground: Arena) -> None:
    ran = run(ground, "import time; time.sleep(600)", stop_s=1)
    assert ran.code == -signal.SIGKILL
    assert any("not ended" in each for each in problems(ran, 60))


def test_a_slow_command(ground: Arena) -> None:
    ran = run(ground, "pass")._replace(seconds=75.0)
    assert problems(ran, 60) == ["took 75.0 s"]


def test_memory_of_children_counts(ground: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arena, "MAX_BYTES", 200_000_000)
    child = "data = bytearray(b'a') * 250_000_000; import sys; print(flush=True); sys.stdin.read()"
    code = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {child!r}], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
child.stdout.readline()
time.sleep(2)
child.communicate()
"""
    ran = run(ground, code)
    assert 250_000_000 < ran.peak_bytes < 500_000_000
    assert [each.split()[0] for each in problems(ran, 60)] == ["took"]


def test_a_command_that_takes_too_much_memory_is_killed(ground: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arena, "STOP_BYTES", 100_000_000)
    ran = run(ground, "data = bytearray(b'a') * 200_000_000\nimport time; time.sleep(600)")
    assert ran.stopped.startswith("more than")
    assert ran.code == -signal.SIGKILL


def test_processes_that_are_left_are_found_and_ended(ground: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arena, "_REST_S", 0.2)
    code = "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']).pid)"
    ran = run(ground, code)
    assert "1 processes were left running" in problems(ran, 60)
    deadline = time.monotonic() + 60
    while Path(f"/proc/{ran.stdout.strip()}").exists() and time.monotonic() < deadline:
        state = Path(f"/proc/{ran.stdout.strip()}/stat").read_text().rpartition(") ")[2][0]
        if state in "ZX":
            break
        time.sleep(0.05)
    else:
        assert not Path(f"/proc/{ran.stdout.strip()}").exists()


def test_a_signal_reaches_the_command(ground: Arena) -> None:
    def stop(process: subprocess.Popen[bytes]) -> None:
        os.killpg(process.pid, signal.SIGTERM)

    assert run(ground, "import time; time.sleep(600)", during=stop).code == -signal.SIGTERM


def test_photos_are_the_same_for_the_same_seed(ground: Arena) -> None:
    first, again = (photos.mutated_photo(ground.random(7), 7) for _ in range(2))
    assert first == again
    assert photos.mutated_photo(Arena(ground.folder, seed=1).random(7), 7).content != first.content
    assert len(photos.FORMATS) == 11


def test_a_photo_without_vector_and_reason_is_found(ground: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    (ground.folder / "photos").mkdir()
    for name in ("lost", "fine", "odd"):
        (ground.folder / "photos" / f"{name}.jpg").touch()
    monkeypatch.setattr(photos, "library_outcome", lambda _: ({"fine"}, {"odd": "two\nlines"}))
    found = dict(photos._file_problems(ground.folder, "index add"))
    assert found.keys() == {"lost", "odd"}
    assert "neither or both" in found["lost"]
    assert "not one line" in found["odd"]


def test_bombs_are_small_and_archives_are_made() -> None:
    sizes = {name: len(make(1_024)) for name, make in bomb_files.PHOTOS.items()}
    assert max(sizes.values()) < 50_000_000
    assert len(CRAFTED) > 25
    for name, make in CRAFTED.items():
        assert isinstance(make(), bytes), name


def test_a_result_that_differs_after_a_kill_is_found() -> None:
    vectors = np.eye(3, dtype=np.float32)
    whole = {"vectors": vectors, "paths": [b"a"]}
    assert moments._differences(whole, {"vectors": vectors * 2, "paths": [b"a"]}) == []
    assert len(moments._differences(whole, {"vectors": vectors[:2], "paths": [b"a"]})) == 1
    assert len(moments._differences(whole, {"vectors": vectors[::-1], "paths": []})) == 2
    assert len(moments._differences(whole, {**whole, "more": 1})) == 1


def test_the_table_and_the_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kinds = {
        "good": lambda _: iter([Try("a", (), 1.25, 2_000_000, "x")]),
        "bad": lambda _: iter([Try("b", ("took 99 s",), 99.0, 0, "run b"), Try("c", (), 0, 0, "x")]),
    }
    report = tmp_path / "out" / "attacks.json"
    assert main(kinds, "", ["--only", "good", "--keep", str(tmp_path / "kept"), "--output", str(report)]) == 0
    assert "| good | 1 | 1 | 1.2 s | 2 MB |" in capsys.readouterr().out
    assert main(kinds, "", ["--output", str(report)]) == 1
    text = capsys.readouterr().out
    assert "| bad | 2 | 1 | 99.0 s | 0 MB |" in text
    assert "- b: took 99 s\n    run b" in text
    assert '"problems": [\n' in report.read_text()


def test_the_kinds() -> None:
    assert list(KINDS) == [
        "photos", "bombs", "archives", "graphs", "requests", "kills", "special-files", "interrupts",
    ]  # fmt: skip
