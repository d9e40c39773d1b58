"""Services of the page for one library."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from demo.catalog import local_models
from demo.comparison import Comparison
from demo.indexing import Indexing
from demo.photo_map import Colors, PhotoMap, Projection, make_map, sample_ids
from demo.searcher import Searcher
from demo.uploads import THUMBNAILS


@dataclass
class Services:
    """Services of one library.

    Args:
        searcher: Searcher of the library.
        indexing: Background indexing; None on a public page.
        comparison: Comparison of encoders.
        folder: Folder that is preselected in the filters; None selects all folders.
    """

    searcher: Searcher
    indexing: Indexing | None
    comparison: Comparison
    folder: Path | None = None
    _maps: dict[tuple[Projection, Colors], tuple[int, PhotoMap]] = field(default_factory=dict)
    _map_lock: threading.Lock = field(default_factory=threading.Lock)

    def photo_map(self, projection: Projection, colors: Colors) -> PhotoMap:
        """Return the map of the library, cached until photos or vectors change. Raises the errors of `make_map`."""
        ids = self.searcher.ids()
        state = hash((self.searcher.model.vectors_digest, *ids))
        cached = self._maps.get((projection, colors))
        if cached is None or cached[0] != state:
            with self._map_lock:  # one map at a time, because UMAP uses all cores for a minute
                cached = self._maps.get((projection, colors))
                if cached is None or cached[0] != state:
                    rows = self.searcher.rows(sample_ids(ids))
                    cached = state, make_map(rows, projection, colors, total=len(ids))
                    self._maps[projection, colors] = cached
        return cached[1]

    def close(self) -> None:
        """Stop indexing and close the library."""
        if self.indexing is not None:
            self.indexing.stop()
            self.indexing.wait(timeout_s=10)
        self.searcher.close()


def open_services(
    library: Path,
    *,
    model: str | None = None,
    uploads: Path,
    photos: Path | None = None,
    compared: Sequence[str] = (),
    public: bool = False,
) -> Services:
    """Open a library and its services.

    Args:
        library: Library folder.
        model: Model spec; None uses the model of the library, or the default model for a new library.
        uploads: Folder for uploaded photos.
        photos: Folder to index in the background.
        compared: Specs of models to offer for comparison, in addition to the local ones.
        public: Hide the paths of photos, and disable indexing.

    Raises:
        MvmrError: The library or its model cannot be opened.
    """
    # addresses contain the path of the thumbnails, and that of the library can name its owner
    thumbnails = uploads.with_name(THUMBNAILS) if public else None
    searcher = Searcher(library, model, uploads=uploads, full_paths=not public, thumbnails=thumbnails)
    comparison = Comparison(searcher, [*local_models(), *compared])
    if public:
        return Services(searcher, None, comparison)
    threading.Thread(target=searcher.delete_stale_thumbnails, name="tidy", daemon=True).start()
    indexing = Indexing(searcher.folder, model, finished=searcher.delete_stale_thumbnails)
    if photos is not None:
        indexing.start(str(photos))
    return Services(searcher, indexing, comparison, folder=photos)
