"""Uploads that take much memory, disk or time of a page, and their effect on another visitor."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx

from benchmarks.attack_kinds.bomb_files import PAGE_SIDE, PHOTOS
from benchmarks.attack_kinds.page import Site, not_refused, search_by_upload, unanswered

_UPLOADS = 25
_SLOW_CLIENTS = 40
_MAX_DELAY_S = 2.0
_BOMBS = ("one-color.webp", "deep.png", "short-runs.bmp", "some-scans.jpg", "grid.heic", "grid.avif", "tile.tiff",
          "canvas.gif")  # fmt: skip


def large_uploads(site: Site) -> list[str]:
    """An upload above 20 MB is refused, whether its size is said or not."""
    found = []

    def parts() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\n\r\n'
        for _ in range(200):
            yield bytes(1_000_000)

    with site.page.client() as client:
        with contextlib.suppress(httpx.TransportError):  # the server may close the connection before all is sent
            answer = client.post("gradio_api/upload", files={"files": ("a.jpg", bytes(30_000_000))})
            found += not_refused({"30 MB": answer.status_code}, (413,))
        with contextlib.suppress(httpx.TransportError):
            headers = {"content-type": "multipart/form-data; boundary=x"}
            answer = client.post("gradio_api/upload", content=parts(), headers=headers)
            found += not_refused({"200 MB of unknown length": answer.status_code}, (413,))
        names = (
            "../../a.jpg",
            "/etc/a.jpg",
            "a" * 5_000 + ".jpg",
            "\x1b[31m.jpg",
            "",
            ".",
            "con.jpg",
            "a\0b.jpg",
            "..\\a.jpg",
        )
        for name in names:
            found += unanswered(
                client, "gradio_api/upload", f"a file named {name[:40]!r}", files={"files": (name, b"a")}
            )
    return found


def many_uploads(site: Site) -> list[str]:
    """Uploads together stay below 450 MB on the disk."""
    temporary = site.page.log.parent / "tmp"
    with site.page.client() as client, ThreadPoolExecutor(4) as pool:
        sent = lambda number: client.post("gradio_api/upload", files={"files": (f"{number}.jpg", bytes(19_900_000))})  # noqa: E731
        codes = [answer.status_code for answer in pool.map(sent, range(_UPLOADS))]
    stored = sum(path.lstat().st_size for path in temporary.rglob("*") if path.is_file())
    found = [] if stored < 450_000_000 else [f"{stored / 1e6:,.0f} MB are stored"]
    return found + not_refused({f"upload {at}": code for at, code in enumerate(codes)}, (200, 413, 429, 503, 507))


def slow_uploads(site: Site) -> list[str]:
    """Clients that send a byte now and then do not keep others out."""
    request = "POST /gradio_api/upload HTTP/1.1\r\nHost: {}:{}\r\nContent-Length: 1000000\r\n".format(*site.page.place)
    with contextlib.ExitStack() as stack:
        for _ in range(_SLOW_CLIENTS):
            connection = stack.enter_context(socket.create_connection(site.page.place, timeout=10))
            connection.sendall(f"{request}Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n".encode())
        return _delay(site, 5.0)


def bombs_at_once(site: Site) -> list[str]:
    """Eight bombs at once delay the search of another visitor by less than two seconds."""
    contents = {name: PHOTOS[name](PAGE_SIDE) for name in _BOMBS}
    ended = threading.Event()

    def upload(name: str) -> None:
        with site.page.client() as client:
            search_by_upload(client, name, contents[name])

    with ThreadPoolExecutor(len(_BOMBS)) as pool:
        usual = _search_seconds(site)
        bombs = [pool.submit(upload, name) for name in _BOMBS]
        threading.Thread(target=lambda: ([each.result() for each in bombs], ended.set()), daemon=True).start()
        return _delay(site, 20.0, usual, ended)


def _delay(site: Site, seconds: float, usual: float | None = None, ended: threading.Event | None = None) -> list[str]:
    """Search by upload again and again for some seconds, and report the longest delay if it is too long."""
    usual = _search_seconds(site) if usual is None else usual
    deadline, longest = time.perf_counter() + seconds, 0.0
    while time.perf_counter() < deadline and not (ended is not None and ended.is_set()):
        longest = max(longest, _search_seconds(site))
    print(f"requests: a search takes {usual:.2f} s, and {longest:.2f} s during the attack", file=sys.stderr, flush=True)
    if max(usual, longest) == float("inf"):
        return ["another visitor's search fails"]
    return [] if longest - usual < _MAX_DELAY_S else [f"another visitor's search is delayed by {longest - usual:.1f} s"]


def _search_seconds(site: Site) -> float:
    """Seconds of a search by upload, or infinity if it fails."""
    with site.page.client() as client:
        outcome = search_by_upload(client, "query.jpg", site.photo.read_bytes())
    return outcome.seconds if outcome.event == "complete" else float("inf")


def large_profile(site: Site) -> list[str]:
    """A photo with a large color profile does not make large thumbnails."""
    with site.page.client() as client:
        outcome = search_by_upload(client, "profile.jpg", PHOTOS["profile.jpg"](PAGE_SIDE))
    large = [path for path in site.library.rglob("thumbnails/*") if path.stat().st_size > 300_000]
    return [f"{path.name} is large" for path in large] + ([] if outcome.event == "complete" else [outcome.data[:160]])
