"""A real `mvmr-demo` on this machine, and a client for it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx

from benchmarks.attack_kinds.arena import MAX_S, TRACEBACK, Arena, forget_peaks, kill_session, session_memory

_START_S = 120.0


class Outcome(NamedTuple):
    """The end of a call of the API.

    Args:
        event: `complete`, `error`, or the HTTP status of a refused request.
        data: Its JSON, or the text of the response.
        seconds: Wall-clock time.
    """

    event: str
    data: str
    seconds: float


@dataclass(frozen=True)
class Page:
    """A running page.

    Args:
        address: URL that ends in a slash.
        process: Its process, the first of its session.
        log: File with everything that it prints.
        started: Bytes that the log had when the page was ready.
    """

    address: str
    process: subprocess.Popen[bytes]
    log: Path
    started: int

    @property
    def place(self) -> tuple[str, int]:
        """Host and port."""
        url = urlsplit(self.address)
        return str(url.hostname), int(url.port or 80)

    def client(self, **options: Any) -> httpx.Client:
        """An HTTP client."""
        return httpx.Client(base_url=self.address, timeout=60, **options)

    def printed(self) -> str:
        """What the page has printed since it was ready."""
        return self.log.read_bytes()[self.started :].decode("utf-8", "replace")

    def memory(self) -> int:
        """Highest memory since `forget`, in bytes."""
        return session_memory(self.process.pid)

    def forget(self) -> int:
        """Forget earlier peaks of memory. Returns the memory now, which may be left from an earlier attack."""
        forget_peaks(self.process.pid)
        return self.memory()

    def raw(self, request: bytes, *, seconds: float = 30) -> bytes:
        """Send bytes and return at most 1 MB of the response."""
        with socket.create_connection(self.place, timeout=seconds) as connection:
            connection.sendall(request)
            response = b""
            while len(response) < 1 << 20 and (part := connection.recv(1 << 16)):
                response += part
            return response


@contextmanager
def serving(arena: Arena, home: Path, *words: object) -> Iterator[Page]:
    """Run `mvmr-demo` until the block ends."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    log = home / "page.log"
    command = [sys.executable, "-m", "demo", *map(str, words), "--port", str(port)]
    environment = arena.environment(home, PYTHONUNBUFFERED="1")
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, cwd=arena.folder, env=environment, stdout=file, stderr=file, start_new_session=True
        )
        try:
            deadline = time.monotonic() + _START_S
            while b"Open http" not in log.read_bytes():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"`mvmr-demo` did not start: {log.read_text(errors='replace')}")
                time.sleep(0.1)
            yield Page(f"http://127.0.0.1:{port}/", process, log, log.stat().st_size)
        finally:
            kill_session(process.pid)
            process.wait()


def call(client: httpx.Client, name: str, *values: Any) -> Outcome:
    """Call a function of the API, and wait for its result."""
    began = time.perf_counter()
    try:
        answer = client.post(f"gradio_api/call/{name}", json={"data": list(values)})
        if answer.status_code != 200:
            return Outcome(str(answer.status_code), answer.text, time.perf_counter() - began)
        stream = client.get(f"gradio_api/call/{name}/{answer.json()['event_id']}").text
    except httpx.HTTPError as error:
        return Outcome("no answer", type(error).__name__, time.perf_counter() - began)
    event, _, data = stream.strip().rpartition("event: ")[2].partition("\n")
    return Outcome(event, data.removeprefix("data: "), time.perf_counter() - began)


def search_by_upload(client: httpx.Client, name: str, content: bytes) -> Outcome:
    """Upload a photo and search with it."""
    began = time.perf_counter()
    try:
        answer = client.post("gradio_api/upload", files={"files": (name, content)})
    except httpx.HTTPError as error:
        return Outcome("no answer", type(error).__name__, time.perf_counter() - began)
    if answer.status_code != 200:
        return Outcome(str(answer.status_code), answer.text, time.perf_counter() - began)
    photo = {"path": answer.json()[0], "meta": {"_type": "gradio.FileData"}}
    found = call(client, "search", photo, 3, 0, "", "")
    return found._replace(seconds=time.perf_counter() - began)


class Site(NamedTuple):
    """What a page must not give away.

    Args:
        page: The page.
        library: Its library.
        photo: An indexed photo.
    """

    page: Page
    library: Path
    photo: Path


def not_refused(answers: dict[str, int], codes: tuple[int, ...] = (400, 401, 403, 404, 405, 422)) -> list[str]:
    """Requests that were not refused."""
    return [f"{request}: status {code}" for request, code in answers.items() if code not in codes]


def unanswered(client: httpx.Client, path: str, what: str, **request: Any) -> list[str]:
    """A POST request that the page does not answer, or answers with a traceback."""
    try:
        answer = client.post(path, timeout=MAX_S, **request)
    except httpx.HTTPError as error:
        return [f"{path} {what}: {type(error).__name__}"]
    return [f"{path} {what}: {answer.text[:160]!r}"] if TRACEBACK in answer.text else []
