"""The page: start-up, first paint, searching by file, sixteen clients at once, the map.

    python benchmarks/demo.py PHOTO-FOLDER --work FOLDER [--count 10000]

PHOTO-FOLDER is searched with its subfolders; if it has fewer than `--count` photos, copies with a byte more are made.
The library is kept in `--work`, so that a second run need not make it again. Needs Chromium.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from gradio_client import Client, handle_file
from playwright.sync_api import sync_playwright

from mvmr_zoo import PhotoLibrary, load
from mvmr_zoo.images import SUFFIXES

SIZE_PX = {"width": 1440, "height": 900}


def main() -> None:
    """Measure, and print a line a figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    library, queries = prepare(options.photos, options.work, options.count)
    shutil.rmtree(library / "thumbnails", ignore_errors=True)
    start_up(library)
    with page(library) as (address, process):
        first_paint(address)
        search_in_the_page(address, queries[:20], "no thumbnail made")
        search_in_the_page(address, queries[:20], "thumbnails made")
        search_by_file(address, queries)
        look_at_the_map(address)
        many_at_once(address, process.pid, queries, options.clients, options.seconds)


def prepare(photos: Path, work: Path, count: int) -> tuple[Path, list[Path]]:
    """A library of `count` photos, and a hundred photos that are not in it."""
    found = sorted(each for each in photos.rglob("*") if each.suffix.lower() in SUFFIXES)
    np.random.default_rng(0).shuffle(found)
    queries, kept = found[:100], found[100 : count + 100]
    album, library = work / "photos", work / "library"
    album.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        place = album / f"{number % 50:02}" / f"{number:05}.jpg"
        if not place.exists():
            place.parent.mkdir(exist_ok=True)
            place.write_bytes(kept[number % len(kept)].read_bytes() + b"x" * (number // len(kept)))
    began = time.perf_counter()
    with PhotoLibrary(library) as made:
        report = made.add([album])
    took = time.perf_counter() - began
    print(f"library of {report.total:,} photos, {report.added:,} of them indexed now in {took:.0f} s")
    return library, queries


@contextmanager
def page(library: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """`python -m demo` once it is ready: its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "demo", str(library), "--port", str(port)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    ) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[1], process
        finally:
            process.terminate()


def start_up(library: Path) -> None:
    """From starting the process to the line that says it is ready, and an answer to a request."""
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        with page(library) as (address, _):
            Client(address, verbose=False)
            seconds.append(time.perf_counter() - began)
    middle = statistics.median(seconds)
    print(f"start-up until a client is served: median {middle:.1f} s, most {max(seconds):.1f} s (bar 8)")


def first_paint(address: str) -> None:
    """In fresh browsers: the first paint, and until examples can be clicked."""
    paints, usable = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        for _ in range(5):
            context = browser.new_context(viewport=SIZE_PX)
            seen = context.new_page()
            began = time.perf_counter()
            seen.goto(address)
            seen.locator("#examples button").first.wait_for()
            usable.append(time.perf_counter() - began)
            paints.append(seen.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime") / 1_000)
            context.close()
        browser.close()
    print(
        f"first paint: {paints[0]:.2f} s the first time, median {statistics.median(paints):.2f} s (bar 3); "
        f"usable: {usable[0]:.2f} s the first time, median {statistics.median(usable):.2f} s"
    )


def search_in_the_page(address: str, queries: list[Path], state: str) -> None:
    """From choosing a file to its hits, with every picture, in a browser."""
    seconds = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        seen = browser.new_page(viewport=SIZE_PX)
        seen.goto(address)
        seen.locator("#examples button").first.wait_for()
        for query in queries:
            began = time.perf_counter()
            seen.locator("#photo input[type=file]").set_input_files(query)
            seen.wait_for_function(
                """name => document.querySelector("#heading").innerText.includes(name)
                    && ![...document.querySelectorAll("#hits img")].some(each => each.src.includes("waiting"))""",
                arg=query.name,
            )
            seconds.append(1_000 * (time.perf_counter() - began))
            seen.locator("#photo").get_by_role("button", name="Remove Image").click()
        browser.close()
    print(f"search in the page, {state}: {spread(seconds)} from choosing a file to its hits (bar 500 beyond inference)")


def search_by_file(address: str, queries: list[Path]) -> None:
    """One after the other by gradio_client, beside the same encoder in this process."""
    client, model = Client(address, verbose=False), load()
    model.embed(queries[0])
    total, inference = [], []
    for query in queries:
        began = time.perf_counter()
        client.predict(photo=handle_file(query), k=24, api_name="/search")
        total.append(1_000 * (time.perf_counter() - began))
        began = time.perf_counter()
        model.embed(query)
        inference.append(1_000 * (time.perf_counter() - began))
    print(
        f"search by the API: {spread(total)}; inference alone {spread(inference)}; "
        f"beyond it {spread(np.subtract(total, inference))} (bar 500)"
    )


def spread(milliseconds: Sequence[float] | np.ndarray) -> str:
    """Half of the values, and 95 of a hundred, are no larger."""
    return f"p50 {np.median(milliseconds):.0f} ms, p95 {np.quantile(milliseconds, 0.95):.0f} ms"


def look_at_the_map(address: str) -> None:
    """From the tab to the picture, and from a click to the photo."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        seen = browser.new_page(viewport=SIZE_PX)
        seen.goto(address)
        seen.locator("#examples button").first.wait_for()
        began = time.perf_counter()
        seen.get_by_role("tab", name="Map").click()
        seen.locator("#map img").wait_for()
        drawn = time.perf_counter() - began
        clicks = []
        for at in range(5):
            before = seen.locator("#map img").get_attribute("src")
            began = time.perf_counter()
            seen.locator("#map img").click(position={"x": 150 + 60 * at, "y": 250})
            seen.wait_for_function("before => document.querySelector('#map img').src !== before", arg=before)
            clicks.append(time.perf_counter() - began)
        browser.close()
    print(
        f"map: first picture {drawn:.2f} s, a click until its photo is marked median {statistics.median(clicks):.2f} s"
    )


def many_at_once(address: str, server: int, queries: list[Path], clients: int, seconds: float) -> None:
    """Clients in processes of their own, twice for so long: errors, latencies, the server's memory."""
    with ProcessPoolExecutor(clients) as pool:
        for turn in ("first", "second"):
            before = memory_mb(server)
            parts = [queries[number::clients] for number in range(clients)]
            done = list(pool.map(search_on, [address] * clients, parts, [seconds] * clients))
            latencies = np.concatenate([each for each, _ in done])
            errors = [error for _, failed in done for error in failed]
            print(
                f"{clients} clients, {turn} {seconds:.0f} s: {len(latencies)} searches, {len(errors)} errors, "
                f"{spread(latencies)}, most {latencies.max():.0f} ms; "
                f"server {before:.0f} MB before, {memory_mb(server):.0f} MB after"
            )
            for error in sorted(set(errors)):
                print(f"  {error}")


def search_on(address: str, queries: list[Path], seconds: float) -> tuple[list[float], list[str]]:
    """Search until the time is over: latencies in ms, and errors."""
    client = Client(address, verbose=False)
    latencies, errors = [], []
    end = time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        try:
            client.predict(photo=handle_file(queries[len(latencies) % len(queries)]), k=24, api_name="/search")
        except Exception as error:  # whatever it is, it is what is counted
            errors.append(f"{type(error).__name__}: {error}")
        latencies.append(1_000 * (time.perf_counter() - began))
    return latencies, errors


def memory_mb(process: int) -> float:
    """Resident memory of a process."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1_000


def chromium() -> str:
    """The browser that is installed."""
    return next(filter(None, map(shutil.which, ("chromium", "google-chrome"))))


if __name__ == "__main__":
    main()
