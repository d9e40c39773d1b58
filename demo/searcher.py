"""Search by photo or id, with thumbnails of the hits. Does not use Gradio.

Page handlers run in many threads, but a library can only be used in the thread that opened it. The library therefore
has its own thread, in which a search takes a few milliseconds. Photos are decoded and embedded in the handler threads.
"""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from demo.hits import PageHit, PhotoDetails, file_name
from demo.thumbnails import LARGE_PX, Thumbnails, save_small
from demo.trail import QueryPhoto, Step
from demo.uploads import Upload, decode_upload, read_upload
from mvmr_zoo import PhotoLibrary
from mvmr_zoo.errors import ConfigError, DataError, LibraryError, printable
from mvmr_zoo.search import Filters

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mvmr_zoo import Model
    from mvmr_zoo.search import Hit, PhotoRow, Status

PAGE_SIZE = 24
MAX_HITS = 200

SEARCHES_AT_ONCE = 16
"""Further searches wait. Searches whose photo takes long to decode must not use up all places."""

_QUERY_THUMBNAIL_PX = 160
_THUMBNAIL_TIMEOUT_S = 0.3
"""Hits are shown after this time even if thumbnails of large photos are not ready."""

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Search options.

    Args:
        k: Hits per page, 1 to `MAX_HITS`.
        filters: Filters on the photos.
        hide_query: Exclude the query photos from the hits.
        group: Group near duplicates under their best copy.
    """

    k: int = PAGE_SIZE
    filters: Filters = field(default_factory=Filters)
    hide_query: bool = True
    group: bool = False

    def __post_init__(self) -> None:
        """Raise ConfigError if k is out of range."""
        if not 1 <= self.k <= MAX_HITS:
            raise ConfigError(f"The number of hits is {self.k}; expected 1 to {MAX_HITS}.")


class Searcher:
    """Thread-safe search in a photo library.

    Args:
        folder: Library folder; created if missing.
        model: Model spec; None uses the model of the library, or the default model for a new library.
        uploads: Folder for thumbnails of uploaded photos.
        full_paths: Show the full paths of photos.
        thumbnails: Folder for thumbnails; None uses one in the library. Addresses of the page contain its path.

    Raises:
        MvmrError: The library or its model cannot be opened.
    """

    def __init__(
        self,
        folder: Path | None,
        model: str | None,
        *,
        uploads: Path,
        full_paths: bool = True,
        thumbnails: Path | None = None,
    ) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="library")
        self._uploads, self._full_paths = uploads, full_paths
        try:
            self._library = self._in_library(lambda: PhotoLibrary(folder, model=model))
            self._in_library(lambda: self._library.model)
        except BaseException:
            self._thread.shutdown()
            raise
        self.folder = self._library.folder
        self.thumbnails = Thumbnails(thumbnails or self.folder / "thumbnails")

    @property
    def model(self) -> Model:
        """Model of the library. It changes after `mvmr-zoo index reindex`."""
        return self._in_library(lambda: self._library.model)

    def close(self) -> None:
        """Close the library and stop all threads."""
        self._in_library(lambda: self._library.__exit__(None, None, None))
        self._thread.shutdown()
        self.thumbnails.close()

    def query_from_file(self, path: str | os.PathLike[str]) -> QueryPhoto:
        """Prepare an uploaded photo for a search. A photo with the content of a library photo is not decoded.

        Raises:
            ImageError: The photo cannot be read or exceeds the upload limits.
        """
        upload = read_upload(path)
        copies = self.copies_of(upload)
        if copies:
            return replace(self._query_photo(copies), name=printable(upload.name))
        image = decode_upload(upload)
        vector: NDArray[np.float32] = self.model.embed([image])[0]
        # named after the vector, so that the name cannot be guessed and is the same for the same photo
        thumbnail = self._uploads / f"{hashlib.sha256(vector.tobytes()).hexdigest()}-query.jpg"
        save_small(image, thumbnail, _QUERY_THUMBNAIL_PX)
        return QueryPhoto(printable(upload.name), thumbnail, vector=vector)

    def copies_of(self, upload: Upload) -> dict[int, PhotoRow]:
        """Return the database rows of the library photos with the content of an upload by id."""
        return self._in_library(lambda: self._library.photos(self._library.same_as(upload.content)))

    def query_from_id(self, id_: int) -> QueryPhoto:
        """Prepare a photo of the library for a search. Raises ConfigError if the id is unknown."""
        return self._query_photo(self._rows([id_]))

    def search(self, step: Step, options: Options, *, offset: int = 0, pictures: bool = True) -> list[PageHit]:
        """Return a page of hits, best first. Slow thumbnails are placeholders until `wait_for_thumbnails` is called.

        Args:
            step: Query photos.
            options: Search options.
            offset: Number of hits before this page.
            pictures: Create thumbnails.

        Raises:
            ConfigError: An option is out of range.
            LibraryError: The library is empty.
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
        except DataError:  # the folder of the filters is not indexed yet, or was removed
            return []
        except LibraryError:
            if self._full_paths:
                raise
            raise LibraryError("The photos cannot be searched at the moment. Try again later.") from None
        hits = [hit for hit in hits if hit.id in rows]
        if pictures:
            files = self.thumbnails.of([rows[hit.id] for hit in hits], timeout_s=_THUMBNAIL_TIMEOUT_S)
        else:
            files = [self.thumbnails.placeholder] * len(hits)
        return [
            PageHit(self._details(hit.id, rows[hit.id], file), hit.score, hit.percentile, len(hit.copies))
            for hit, file in zip(hits, files, strict=True)
        ]

    def wait_for_thumbnails(self, hits: Sequence[PageHit]) -> list[PageHit]:
        """Wait until all thumbnails exist, and return the same hits with them."""
        pending = [hit.photo for hit in hits if hit.photo.thumbnail == self.thumbnails.placeholder]
        files = self.thumbnails.of([photo.row for photo in pending])
        complete = {photo.id: replace(photo, thumbnail=file) for photo, file in zip(pending, files, strict=True)}
        return [hit._replace(photo=complete.get(hit.photo.id, hit.photo)) for hit in hits]

    def details(self, ids: Sequence[int]) -> list[PhotoDetails]:
        """Return photos of the library in the order of the ids. Unknown ids are skipped."""
        rows = self.rows(ids)
        return [
            self._details(id_, row, file)
            for (id_, row), file in zip(rows.items(), self.thumbnails.of(list(rows.values())), strict=True)
        ]

    def large(self, id_: int) -> Path:
        """Return a copy of a photo of at most `LARGE_PX`. Raises ConfigError if the id is unknown."""
        return self.thumbnails.of(list(self._rows([id_]).values()), LARGE_PX)[0]

    def examples(self, count: int) -> list[PhotoDetails]:
        """Return random example photos. They stay the same while the number of photos does not change."""
        ids = self.ids()
        return self.details(random.Random(len(ids)).sample(ids, min(count, len(ids))))

    def ids(self) -> list[int]:
        """Return the ids of all photos in the library."""
        return self._in_library(self._library.ids)

    def rows(self, ids: Iterable[int]) -> dict[int, PhotoRow]:
        """Return the database rows of photos by id."""
        return self._in_library(lambda: self._library.photos(ids))

    def folders(self) -> dict[str, Path]:
        """Return the folders that directly contain photos, by display name."""
        folders = list(self._in_library(self._library.folders))
        if self._full_paths or not folders:
            return {printable(str(each)): each for each in folders}
        root = Path(os.path.commonpath(folders)).parent
        return {printable(str(each.relative_to(root))): each for each in folders}

    def status(self) -> Status:
        """Return the status of the library."""
        return self._in_library(self._library.status)

    def delete_stale_thumbnails(self) -> None:
        """Delete the thumbnails of photos that were removed from the library."""
        # Opens the library a second time so that searches are not blocked. A missing or damaged library is reported by
        # the next search.
        with suppress(LibraryError), PhotoLibrary(self.folder, create=False) as library:
            self.thumbnails.delete_all_except(library.photos(library.ids()).values())

    def display_path(self, row: PhotoRow) -> str:
        """Return the path of a photo for display: the full path, or a relative path on a public page."""
        path = Path(os.fsdecode(row.path))
        return printable(str(path if self._full_paths else path.relative_to(Path(os.fsdecode(row.root)).parent)))

    def _in_library(self, work: Callable[[], _T]) -> _T:
        return self._thread.submit(work).result()

    def _rows(self, ids: Sequence[int]) -> dict[int, PhotoRow]:
        rows = self.rows(ids)
        if not rows:
            raise ConfigError(f"The library has no photo with the id {ids[0]}.")
        return rows

    def _query_photo(self, rows: dict[int, PhotoRow]) -> QueryPhoto:
        first = next(iter(rows.values()))
        return QueryPhoto(printable(file_name(first)), self.thumbnails.of([first])[0], tuple(rows))

    def _details(self, id_: int, row: PhotoRow, thumbnail: Path) -> PhotoDetails:
        return PhotoDetails(id=id_, row=row, place=self.display_path(row), thumbnail=thumbnail)
