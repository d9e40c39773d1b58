"""Common parts of the kinds of attacks: the temporary folder, real commands under watch, what a command may print."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

ROOT = Path(__file__).resolve().parents[2]

MAX_S = 10.0
"""Longest time of one attack, besides the time that the command takes without it."""

MAX_BYTES = 1_500_000_000
"""Most memory of all processes of a command."""

STOP_BYTES = 3_000_000_000
"""A command is killed above this, so that an attack that works does not take the machine down."""

STOP_S = 25.0
"""A command is killed after this time, besides the time that it takes without an attack."""

_SAMPLE_S = 0.05
_REST_S = 5.0
"""Time for processes that a command has started to end after it."""

_T = TypeVar("_T")

OWN_LINES = re.compile(
    r"Error: .+|Usage: .+|Try '.+|Stopped\.|Omitted: .+|Run `.+|.* failed \(.+\)\. .+|Progress is saved\. .+"
    r"|Finished shards are saved\. .+|.*: .* embedded, in .+|\d[\d,]* photos? found: .+|The library .+ contains .+"
    r"|Contact sheet: .+|Report: .+"
    r"|.* could not be read\. There may be more photos\.|.* removed from the library's results because .+"
)
"""What commands print for people. Everything else is noise, for example of libtiff."""

TRACEBACK = "Traceback (most recent call last)"


class Ran(NamedTuple):
    """A command that has ended.

    Args:
        words: Command line.
        code: Exit code, or the negative number of the signal that ended it.
        stdout: Standard output.
        stderr: Standard error.
        seconds: Wall-clock time.
        peak_bytes: Highest memory of all its processes together.
        stopped: Reason why it was killed here. Empty if it was not.
        left: Processes that it left running.
    """

    words: tuple[str, ...]
    code: int
    stdout: str
    stderr: str
    seconds: float
    peak_bytes: int
    stopped: str
    left: int

    @property
    def shown(self) -> str:
        """The command line for a shell."""
        return shlex.join(self.words)


class Try(NamedTuple):
    """One attack and what did not hold.

    Args:
        name: Name within its kind, the same for the same seed.
        problems: What did not hold, one sentence each. Empty if everything held.
        seconds: Its longest command or request.
        peak_bytes: Highest memory of its commands.
        reproduce: Command line, or what else to do.
    """

    name: str
    problems: tuple[str, ...]
    seconds: float
    peak_bytes: int
    reproduce: str


@dataclass(frozen=True)
class Arena:
    """Runs real commands on generated files in a temporary folder.

    Args:
        folder: The temporary folder.
        seed: Random seed of all files and moments.
        jobs: Commands that run at once.
        tries: Number of attacks of a kind. None uses the kind's own number.
    """

    folder: Path
    seed: int = 0
    jobs: int = 2
    tries: int | None = None
    measured: dict[str, float] = field(default_factory=dict)
    """Seconds that commands take without an attack, by name."""

    def random(self, *key: int) -> np.random.Generator:
        """A generator for one attack. It does not depend on the other attacks."""
        return np.random.default_rng((self.seed, *key))

    def place(self, *names: str) -> Path:
        """A new folder. Its parents are created."""
        path = self.folder.joinpath(*names)
        path.mkdir(parents=True)
        return path

    def environment(self, home: Path, **more: str) -> dict[str, str]:
        """Variables of a person without settings of mvmr-zoo, who has this checkout and no network."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "MVMR_"))}
        temporary = home / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        own = {"HOME": home, "TMPDIR": temporary, "PYTHONPATH": ROOT, "HF_HUB_OFFLINE": 1, "COLUMNS": 200}
        return kept | {name: str(value) for name, value in own.items()} | more

    def zoo(self, *words: object, **options: object) -> Ran:
        """Run `mvmr-zoo`. The options are those of `run`."""
        return self.run("mvmr_zoo.cli", *words, **options)  # type: ignore[arg-type]

    def run(
        self,
        module: str,
        *words: object,
        home: Path | None = None,
        stop_s: float | None = None,
        during: Callable[[subprocess.Popen[bytes]], object] | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> Ran:
        """Run a command line of a module to its end, and watch its time, memory and processes.

        Args:
            module: Module, as for `python -m`.
            words: Arguments.
            home: Home folder. Default: one that all commands share.
            stop_s: Seconds after which it is killed. Default: `STOP_S` more than `index add` takes.
            during: Called with the process after its start, for example to send a signal.
            variables: Environment variables to set.
        """
        command = (sys.executable, "-m", module, *map(str, words))
        limit = STOP_S + self.start_s if stop_s is None else stop_s
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            began = time.perf_counter()
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=self.environment(home or self.folder / "home", **(variables or {})),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
            try:
                watch = ThreadPoolExecutor(1)
                watched = watch.submit(_watch, process, limit)
                if during is not None:
                    during(process)
                peak, stopped = watched.result()
                seconds = time.perf_counter() - began
                watch.shutdown()
                left = [] if stopped else _remaining(process.pid)
            finally:
                kill_session(process.pid)
                process.wait()
            texts = []
            for file in (out, err):
                file.seek(0)
                texts.append(file.read(1 << 20).decode("utf-8", "replace"))
        return Ran(command, process.returncode, texts[0], texts[1], seconds, peak, stopped, len(left))

    @property
    def start_s(self) -> float:
        """Seconds that `index add` takes for one small photo on this machine now."""
        return self.measured.get("start_s", 5.0)

    @property
    def torch_s(self) -> float:
        """Seconds that `import` takes to refuse a small file. It loads PyTorch."""
        if "torch_s" not in self.measured:
            file = self.folder / "no-weights.pth"
            file.write_bytes(b"no weights")
            words = ("import", file, "--as", "a", "--preprocess", "imagenet")
            self.measured["torch_s"] = max(self.zoo(*words, stop_s=120).seconds, self.start_s)
        return self.measured["torch_s"]

    def each(self, attack: Callable[[_T], Iterable[Try]], items: Iterable[_T]) -> Iterator[Try]:
        """The tries of all items, some at once, in order."""
        with ThreadPoolExecutor(self.jobs) as pool:
            for tries in pool.map(lambda item: list(attack(item)), items):
                yield from tries

    def judged(
        self,
        name: str,
        ran: Ran,
        *,
        codes: Iterable[int] = (0,),
        more: Iterable[str] = (),
        start_s: float | None = None,
    ) -> Try:
        """A try of one command.

        Args:
            name: Name of the try.
            ran: The command.
            codes: Exit codes that hold.
            more: What else did not hold.
            start_s: Seconds that the command takes without an attack. Default: those of `index add`.
        """
        start_s = self.start_s if start_s is None else start_s
        return Try(name, (*problems(ran, start_s, codes), *more), ran.seconds, ran.peak_bytes, ran.shown)


def problems(ran: Ran, start_s: float, codes: Iterable[int] = (0,)) -> list[str]:
    """What did not hold of a command: time, memory, exit code, output, processes.

    Args:
        ran: The command.
        start_s: Seconds that the command takes without an attack.
        codes: Exit codes that hold.
    """
    found = []
    if ran.stopped:
        found.append(f"{ran.stopped}, killed")
    elif ran.seconds > MAX_S + start_s:
        found.append(f"took {ran.seconds:.1f} s")
    if ran.peak_bytes > MAX_BYTES:
        found.append(f"took {ran.peak_bytes / 1e6:,.0f} MB")
    if not ran.stopped and ran.code not in codes:
        found.append(f"exit code {ran.code}: {_start(ran.stderr.strip().splitlines()[-1:])}")
    if TRACEBACK in ran.stderr + ran.stdout:
        found.append(f"traceback: {_start(ran.stderr.strip().splitlines()[-1:])}")
    else:
        lines = [line for line in ran.stderr.splitlines() if line.strip() and not OWN_LINES.fullmatch(line)]
        if lines:
            found.append(f"{len(lines)} foreign lines on the terminal: {_start(lines)}")
        if sum(line.startswith("Error: ") for line in ran.stderr.splitlines()) > 1:
            found.append("more than one line of errors")
    if "\x1b" in ran.stderr + ran.stdout:
        found.append("escape characters on the terminal")
    if ran.left:
        found.append(f"{ran.left} processes were left running")
    return found


def _start(lines: list[str]) -> str:
    return lines[0][:160] if lines else "no message"


def session_memory(session: int) -> int:
    """Bytes of all processes of a session together. Memory that they share counts once. 0 without `/proc`."""
    total = highest = 0
    for pid in session_processes(session):
        with contextlib.suppress(OSError, IndexError, ValueError):
            total += _kilobytes(Path(f"/proc/{pid}/smaps_rollup"), "Pss:")
            highest = max(highest, _kilobytes(Path(f"/proc/{pid}/status"), "VmHWM:"))
    return max(total, highest) * 1024


def forget_peaks(session: int) -> None:
    """Let `session_memory` forget earlier peaks of the processes of a session."""
    for pid in session_processes(session):
        with contextlib.suppress(OSError):
            Path(f"/proc/{pid}/clear_refs").write_text("5")


def _kilobytes(file: Path, name: str) -> int:
    """A value of a file of `/proc`. 0 for a process that is just ending."""
    return next((int(line.split()[1]) for line in file.read_text().splitlines() if line.startswith(name)), 0)


def session_processes(session: int) -> list[int]:
    """Ids of the running processes of a session, without those that have ended and wait to be collected."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError, ValueError):
                state, _, _, its_session = (entry / "stat").read_text().rpartition(") ")[2].split()[:4]
                if its_session == str(session) and state not in "ZX":
                    found.append(int(entry.name))
    return found


def kill_session(session: int) -> None:
    """Kill all processes of a session that was started here."""
    for pid in session_processes(session):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _watch(process: subprocess.Popen[bytes], limit_s: float) -> tuple[int, str]:
    """Wait for a process. Returns the highest memory of its session, and the reason if it was killed."""
    peak, stopped, deadline = 0, "", time.perf_counter() + limit_s
    while process.poll() is None:
        began = time.perf_counter()
        peak = max(peak, session_memory(process.pid))
        if peak > STOP_BYTES:
            stopped = f"more than {STOP_BYTES / 1e9:.0f} GB"
        elif began > deadline:
            stopped = f"not ended after {limit_s:.0f} s"
        if stopped:
            kill_session(process.pid)
            process.wait()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(_SAMPLE_S, 4 * (time.perf_counter() - began)))
    return peak, stopped


def _remaining(session: int) -> list[int]:
    """Processes of a session that still run some seconds after its first process has ended."""
    deadline = time.perf_counter() + _REST_S
    while (found := session_processes(session)) and time.perf_counter() < deadline:
        time.sleep(_SAMPLE_S)
    return found


@functools.cache
def small_photos() -> list[np.ndarray]:
    """Real photos of at most 240 px as RGB arrays."""
    from mvmr_zoo.datasets import make_view, photographs
    from mvmr_zoo.images import read_image

    views = []
    for number, path in enumerate(photographs()):
        view = make_view(read_image(path), np.random.default_rng(number))
        view.thumbnail((240, 240))
        views.append(np.asarray(view))
    return views


def written_files(folder: Path) -> set[str]:
    """Relative paths of all files below a folder, without the device id that ONNX Runtime stores."""
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() or path.is_symlink()}
    return {name for name in names if not name.startswith(".cache/Microsoft/") and name != "tmp/.ses"}
