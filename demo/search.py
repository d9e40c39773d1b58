"""From photos or ids to hits with thumbnails: what the search page does, without Gradio.

Handlers of a web page run in many threads, a library in the one that opened it: it has a thread of its own here, in
which searches take a few milliseconds each. Photos are decoded and embedded in the handlers' threads.
"""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from demo.thumbnails import LARGE_PX, Thumbnails, save_small
from demo.trail import Asked, Step
from demo.uploads import open_upload
from mvmr_zoo import PhotoLibrary
from mvmr_zoo.errors import ConfigError, LibraryError, printable
from mvmr_zoo.search import Filters

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mvmr_zoo import Model
    from mvmr_zoo.search import Hit, PhotoRow, Status

PAGE = 24
MOST_HITS = 200

_ASKED_PX = 160
_PATIENCE_S = 0.3
"""For thumbnails: hits are shown before those of large photos are made."""

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A photo of the library as the page shows it.

    Args:
        id: its number in the library.
        name: of its file, printable.
        place: where it lies: its path, or on a public page the part below the folder it was added with.
        taken: EXIF date as `YYYY-MM-DD HH:MM:SS`, or None.
        width: in pixels.
        height: in pixels.
        size: of its file, in bytes.
        thumbnail: a small copy.
    """

    id: int
    name: str
    place: str
    taken: str | None
    width: int
    height: int
    size: int
    thumbnail: Path

    @property
    def facts(self) -> str:
        """Date and size, for people."""
        taken = f"taken {self.taken}" if self.taken else "no date"
        return f"{taken} · {self.width:,} x {self.height:,} pixels · {human_size(self.size)}"


class Found(NamedTuple):
    """A hit.

    Args:
        photo: that was found.
        score: cosine similarity to what was searched with, in [-1, 1].
        percentile: of the score among those of the library's photos at random, 0 to 100; None in a small library.
        copies: how many near duplicates stand behind it, where they were grouped.
    """

    photo: Shown
    score: float
    percentile: float | None
    copies: int

    @property
    def caption(self) -> str:
        """Name, score and percentile, for people."""
        percentile = "" if self.percentile is None else f" · {self.percentile:.1f} %"
        copies = f" · + {self.copies} like it" if self.copies else ""
        return f"{self.photo.name}\n{self.score:.3f}{percentile}{copies}"


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a search answers.

    Args:
        k: hits a page, 1 to `MOST_HITS`.
        filters: which photos may answer.
        hide_query: leave out the photos that were searched with.
        group: near duplicates behind their best copy.
    """

    k: int = PAGE
    filters: Filters = field(default_factory=Filters)
    hide_query: bool = True
    group: bool = False

    def __post_init__(self) -> None:
        """Raise ConfigError where k is out of range."""
        if not 1 <= self.k <= MOST_HITS:
            raise ConfigError(f"{self.k} hits were asked for; expected 1 to {MOST_HITS}.")


class Searcher:
    """A library that many people search at once.

    Args:
        folder: of the library; made when it is not there.
        model: spec of the encoder; None is the library's own, or `catalog.DEFAULT_MODEL` for a new library.
        uploads: folder for small copies of what was sent.
        full_paths: tell where photos lie on this machine.

    Raises:
        LibraryError, UnknownModelError and other errors of opening a library and its encoder.
    """

    def __init__(self, folder: Path | None, model: str | None, *, uploads: Path, full_paths: bool = True) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="library")
        self._uploads, self._full_paths = uploads, full_paths
        try:
            self._library = self._in_library(lambda: PhotoLibrary(folder, model=model))
            self._in_library(lambda: self._library.model)
        except BaseException:
            self._thread.shutdown()
            raise
        self.folder = self._library.folder
        self.thumbnails = Thumbnails(self.folder / "thumbnails")

    @property
    def model(self) -> Model:
        """The library's encoder; another one after `mvmr-zoo index reindex`."""
        return self._in_library(lambda: self._library.model)

    def close(self) -> None:
        """Let go of the library."""
        self._in_library(lambda: self._library.__exit__(None, None, None))
        self._thread.shutdown()
        self.thumbnails.close()

    def ask(self, path: str | os.PathLike[str]) -> Asked:
        """A photo that was sent, ready to search with; one of the library is known by its content.

        Raises:
            ImageError: it cannot be read, or is larger than uploads may be.
        """
        sent = open_upload(path)
        ids = self._in_library(lambda: self._library.same_as(sent.content))
        if ids:
            asked = self._asked(self._rows(ids))
            return Asked(printable(sent.name), asked.thumbnail, asked.ids)
        vector: NDArray[np.float32] = self.model.embed([sent.image])[0]
        small = self._uploads / f"{hashlib.sha256(sent.content).hexdigest()}-asked.jpg"
        save_small(sent.image, small, _ASKED_PX)
        return Asked(printable(sent.name), small, vector=vector)

    def ask_id(self, id_: int) -> Asked:
        """A photo of the library, ready to search with. Raises ConfigError where it has none of this id."""
        return self._asked(self._rows([id_]))

    def search(self, step: Step, options: Options, *, offset: int = 0, pictures: bool = True) -> list[Found]:
        """A page of hits, best first. Thumbnails that take long are made meanwhile: `complete` waits for them.

        Args:
            step: what to search with.
            options: how to answer.
            offset: hits before this page.
            pictures: make thumbnails.

        Raises:
            ConfigError: a number is out of range.
            LibraryError: the library is empty.
        """

        def run() -> tuple[list[Hit], dict[int, PhotoRow]]:
            hits = self._library.search(
                step.query,
                options.k,
                filters=options.filters,
                offset=offset,
                keep_query=not options.hide_query,
                group=options.group,
            )
            return hits, self._library.photos(hit.id for hit in hits)

        try:
            hits, rows = self._in_library(run)
        except LibraryError:
            if self._full_paths:
                raise
            raise LibraryError("These photos cannot be searched at the moment.") from None
        hits = [hit for hit in hits if hit.id in rows]
        if pictures:
            small = self.thumbnails.of([rows[hit.id] for hit in hits], patience_s=_PATIENCE_S)
        else:
            small = [self.thumbnails.waiting] * len(hits)
        return [
            Found(self._shown(hit.id, rows[hit.id], file), hit.score, hit.percentile, len(hit.copies))
            for hit, file in zip(hits, small, strict=True)
        ]

    def complete(self, hits: Sequence[Found]) -> list[Found]:
        """The same hits, once all their thumbnails are made."""
        waiting = [hit.photo.id for hit in hits if hit.photo.thumbnail == self.thumbnails.waiting]
        made = {each.id: each for each in self.show(waiting)}
        return [hit._replace(photo=made.get(hit.photo.id, hit.photo)) for hit in hits]

    def show(self, ids: Sequence[int]) -> list[Shown]:
        """Photos of the library, in the order of the ids; ids that are not there are left out."""
        rows = self.rows(ids)
        return [
            self._shown(id_, row, file)
            for (id_, row), file in zip(rows.items(), self.thumbnails.of(list(rows.values())), strict=True)
        ]

    def large(self, id_: int) -> Path:
        """A copy of a photo to look at, of at most `LARGE_PX`. Raises ConfigError where there is none of this id."""
        return self.thumbnails.of(list(self._rows([id_]).values()), LARGE_PX)[0]

    def examples(self, count: int) -> list[Shown]:
        """Photos to begin with: drawn at random, the same ones as long as the library does not change."""
        ids = self.ids()
        return self.show(random.Random(len(ids)).sample(ids, min(count, len(ids))))

    def ids(self) -> list[int]:
        """Of every photo of the library."""
        return self._in_library(self._library.ids)

    def rows(self, ids: Iterable[int]) -> dict[int, PhotoRow]:
        """What the library remembers of photos."""
        return self._in_library(lambda: self._library.photos(ids))

    def folders(self) -> dict[str, Path]:
        """Folders with photos right in them, by what people may know them as."""
        folders = list(self._in_library(self._library.folders))
        if self._full_paths or not folders:
            return {printable(str(each)): each for each in folders}
        above = Path(os.path.commonpath(folders)).parent
        return {printable(str(each.relative_to(above))): each for each in folders}

    def status(self) -> Status:
        """How the library stands."""
        return self._in_library(self._library.status)

    def tidy(self) -> None:
        """Delete the small copies of photos that the library does not have any more."""
        # a library of its own: searches go on meanwhile; one that is gone or cannot be read is told when it is searched
        with suppress(LibraryError), PhotoLibrary(self.folder, create=False) as library:
            self.thumbnails.forget_all_but(library.photos(library.ids()).values())

    def place_of(self, row: PhotoRow) -> str:
        """Where a photo lies, as people may know it."""
        path = Path(os.fsdecode(row.path))
        return printable(str(path if self._full_paths else path.relative_to(Path(os.fsdecode(row.root)).parent)))

    def _in_library(self, work: Callable[[], _T]) -> _T:
        return self._thread.submit(work).result()

    def _rows(self, ids: Sequence[int]) -> dict[int, PhotoRow]:
        rows = self.rows(ids)
        if not rows:
            raise ConfigError(f"The library has no photo with the id {ids[0]}.")
        return rows

    def _asked(self, rows: dict[int, PhotoRow]) -> Asked:
        first = next(iter(rows.values()))
        return Asked(printable(_name(first)), self.thumbnails.of([first])[0], tuple(rows))

    def _shown(self, id_: int, row: PhotoRow, thumbnail: Path) -> Shown:
        return Shown(
            id=id_,
            name=printable(_name(row)),
            place=self.place_of(row),
            taken=row.taken,
            width=row.width,
            height=row.height,
            size=row.stamp.size,
            thumbnail=thumbnail,
        )


def human_size(size: float) -> str:
    """Bytes as people read them, as `1.4 MB`."""
    for unit in ("B", "kB", "MB"):
        if size < 1_000:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 10 else f"{size:.1f} {unit}"
        size /= 1_000
    return f"{size:.1f} GB"


def _name(row: PhotoRow) -> str:
    return Path(os.fsdecode(row.path)).name
