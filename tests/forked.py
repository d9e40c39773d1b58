"""Python processes for tests, as `subprocess` starts them, without the seconds that large libraries take to import.

Each process is a fork of a server that has imported them, tests/fork_server.py. Everything else is its own: the
environment, the working folder, the output, the exit code, and the modules of our packages.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from .environment import clean_environment

LIGHT = ("numpy", "PIL.Image", "typer")
"""What every command imports."""

TORCH = (*LIGHT, "torch", "torchvision.models")
"""What a command that needs PyTorch imports too."""

TRAINING = (*TORCH, "pytorch_lightning")
"""What a training run imports too."""

PAGE = (*LIGHT, "gradio")
"""What the page imports too."""


class Forked:
    """A running process, with the part of the interface of `subprocess.Popen` that tests use.

    Args:
        words: What follows `python`: `-c CODE` or `-m MODULE`, and arguments.
        env: Environment.
        preloaded: Modules that are imported already.
        cwd: Working folder.
        stdout: Where the output goes.
        stderr: Where errors go.
    """

    def __init__(
        self,
        words: list[str],
        env: Mapping[str, str],
        preloaded: tuple[str, ...],
        *,
        stdout: IO[Any],
        stderr: IO[Any],
        cwd: Path | None = None,
    ) -> None:
        command = json.dumps({"words": words, "folder": str(cwd or Path.cwd()), "environment": dict(env)})
        read, write = os.pipe()
        server = _server(preloaded)
        socket.send_fds(server, [f"{command}\n".encode()], [stdout.fileno(), stderr.fileno(), write])
        os.close(write)
        self._report = os.fdopen(read, "rb", buffering=0)
        self.pid = int(self._report.readline())
        self.returncode: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end, and return the exit code: negative for a signal."""
        if self.returncode is None:
            if not select.select([self._report], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            self.returncode = int(self._report.readline())
            self._report.close()
        return self.returncode

    def terminate(self) -> None:
        """Send SIGTERM, unless the process has ended."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL, unless the process has ended."""
        self._send(signal.SIGKILL)

    def _send(self, number: int) -> None:
        if self.returncode is None and not select.select([self._report], [], [], 0)[0]:
            os.kill(self.pid, number)


def run_forked(
    words: list[str], env: Mapping[str, str], preloaded: tuple[str, ...], *, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a process to its end."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as error:
        process = Forked(words, env, preloaded, stdout=out, stderr=error, cwd=cwd)
        try:
            code = process.wait(timeout=600)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        said = []
        for file in (out, error):
            file.seek(0)
            said.append(file.read().decode())
    return subprocess.CompletedProcess(words, code, *said)


@functools.cache
def _server(preloaded: tuple[str, ...]) -> socket.socket:
    """The channel to a server, which ends with this process."""
    ours, theirs = socket.socketpair()
    home = tempfile.TemporaryDirectory()
    environment = clean_environment(Path(home.name))
    del environment["PYTHONPATH"]  # the forks have their own
    command = [sys.executable, "-P", str(Path(__file__).with_name("fork_server.py")), str(theirs.fileno()), *preloaded]
    server = subprocess.Popen(command, env=environment, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
    theirs.close()

    def stop() -> None:
        ours.close()
        server.wait()
        home.cleanup()

    atexit.register(stop)
    return ours
