"""Files that claim or unpack to much, through `index add`, `search`, `import` and an upload to the page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from benchmarks.attack_kinds.arena import MAX_BYTES, MAX_S, STOP_S, TRACEBACK, Arena, Try, small_photos
from benchmarks.attack_kinds.bomb_files import PAGE_SIDE, PHOTOS, SIDE, WEIGHTS
from benchmarks.attack_kinds.page import Page, search_by_upload, serving
from benchmarks.attack_kinds.photos import library_outcome


def attack_bombs(arena: Arena) -> Iterator[Try]:
    """Try each bomb alone, so that a wrong one is known at once."""
    folder = arena.place("bombs")
    library = folder / "library"
    good = small_library(arena, folder / "good", library)
    photos, weights = list(PHOTOS)[: arena.tries], list(WEIGHTS)[: arena.tries]
    for name in photos:
        (folder / name).write_bytes(PHOTOS[name](SIDE))
    yield from arena.each(lambda name: _commands(arena, folder / name, library, good), photos)
    with serving(arena, folder, library) as page:
        for name in photos:
            (folder / name).write_bytes(PHOTOS[name](PAGE_SIDE))
            yield _upload(page, folder / name)
    for name in weights:
        file = folder / name
        file.write_bytes(WEIGHTS[name]())
        stop_s = arena.torch_s + STOP_S
        ran = arena.zoo("import", file, "--as", "bomb", "--preprocess", "imagenet", stop_s=stop_s)
        yield arena.judged(f"{name}-import", ran, codes=(2,), start_s=arena.torch_s)
        file.unlink()


def small_library(arena: Arena, photos: Path, library: Path) -> Path:
    """Index six small photos. Returns one of them."""
    photos.mkdir(parents=True)
    for number, photo in enumerate(small_photos()[:6]):
        Image.fromarray(photo).save(photos / f"{number}.jpg")
    ran = arena.zoo("index", "add", photos, "-L", library, stop_s=120)
    if ran.code:
        raise SystemExit(f"`mvmr-zoo index add` fails on plain photos: {ran.stderr or ran.stopped}")
    return photos / "0.jpg"


def _commands(arena: Arena, bomb: Path, library: Path, good: Path) -> Iterator[Try]:
    own = arena.place("bombs", f"{bomb.name}-indexed")
    photos = own / "photos"
    photos.mkdir()
    (photos / bomb.name).symlink_to(bomb)
    (photos / good.name).symlink_to(good)
    ran = arena.zoo("index", "add", photos, "-L", own / "library")
    more = []
    if ran.code == 0:
        indexed, failed = library_outcome(own)
        if good.stem not in indexed or len(indexed) + len(failed) != 2:
            more.append(f"indexed {sorted(indexed)}, failed {failed}; expected both photos, and {good.stem} indexed")
    yield arena.judged(f"{bomb.name}-index-add", ran, more=more)
    yield arena.judged(f"{bomb.name}-search", arena.zoo("search", bomb, "-L", library), codes=(0, 2))


def _upload(page: Page, bomb: Path) -> Try:
    held, before = page.forget(), len(page.printed())
    with page.client() as client:
        found = search_by_upload(client, bomb.name, bomb.read_bytes())
        alive = client.get("/").status_code == 200
    what, peak, printed = [], page.memory(), page.printed()[before:]
    if found.event not in ("complete", "error", "413"):
        what.append(f"the answer is {found.event}: {found.data[:160]}")
    if "\n" in found.data or TRACEBACK in found.data:
        what.append(f"the answer is not one line: {found.data[:160]!r}")
    if found.seconds > MAX_S:
        what.append(f"took {found.seconds:.1f} s")
    if peak > max(MAX_BYTES, held * 1.1):
        what.append(f"took {peak / 1e6:,.0f} MB")
    if printed.strip():
        what.append(f"the page printed: {printed.strip()[-160:]}")
    if not alive:
        what.append("the page does not answer after it")
    return Try(f"{bomb.name}-upload", tuple(what), found.seconds, peak, f"upload {bomb} to `mvmr-demo` and search")
