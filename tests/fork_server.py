"""The process that `tests/forked.py` starts: it imports large libraries once, and then forks for each command.

python -P fork_server.py DESCRIPTOR MODULE...

The forks import our packages themselves, with an environment and a working folder of their own.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import signal
import socket
import sys
import tempfile
from types import ModuleType
from typing import Any

MAX_MESSAGE = 1 << 20


def serve(channel: socket.socket) -> dict[str, Any] | None:
    """Fork for each command that comes in. Returns the command in its fork, and None in the server at the end."""
    while True:
        message, descriptors, *_ = socket.recv_fds(channel, MAX_MESSAGE, 3)
        while message and not message.endswith(b"\n"):
            message += channel.recv(MAX_MESSAGE)
        while _one_has_ended():
            pass
        if not message:
            return None
        if os.fork() == 0:
            channel.close()
            return _watched(json.loads(message), *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _one_has_ended() -> bool:
    """Whether a fork has ended that was not counted before."""
    try:
        return os.waitpid(-1, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return False


def _watched(command: dict[str, Any], out: int, error: int, report: int) -> dict[str, Any]:
    """Fork once more. The parent reports the child's process number and exit code, as `subprocess` gives it."""
    child = os.fork()
    if child:
        os.close(out)
        os.close(error)
        os.write(report, f"{child}\n".encode())
        _, status = os.waitpid(child, 0)
        os.write(report, f"{os.waitstatus_to_exitcode(status)}\n".encode())
        os._exit(0)
    os.dup2(out, 1)
    os.dup2(error, 2)
    for descriptor in (out, error, report):
        os.close(descriptor)
    return command


def run(words: list[str], folder: str, environment: dict[str, str]) -> None:
    """Do what `python -c CODE ...` and `python -m MODULE ...` do."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    tempfile.tempdir = None
    first = [] if environment.get("PYTHONSAFEPATH") else [folder if words[0] == "-m" else ""]
    more = environment.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:0] = [*first, *(each for each in more if each)]
    if environment.get("PYTHONUNBUFFERED"):
        sys.stdout.reconfigure(write_through=True)  # type: ignore[union-attr]
    kind, what, *arguments = words
    sys.argv = [kind, *arguments]
    if kind == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
        return
    main = sys.modules["__main__"] = ModuleType("__main__")
    exec(compile(what, "<string>", "exec"), main.__dict__)


if __name__ == "__main__":
    requests = socket.socket(fileno=int(sys.argv[1]))
    for module in sys.argv[2:]:
        importlib.import_module(module)
    if command := serve(requests):
        run(**command)
