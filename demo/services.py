"""What the page does for one library, behind one name."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from demo.catalog import models_here
from demo.comparison import Comparison
from demo.indexing import Indexing
from demo.photo_map import Colors, PhotoMap, Projection, make_map, some_points
from demo.search import Searcher


@dataclass
class Services:
    """Searching, and what goes with it.

    Args:
        searcher: of the library.
        indexing: None on a public page, where no folder may be named.
        comparison: of the encoders on this machine.
        folder: to look in at first, as the one the page was opened with.
    """

    searcher: Searcher
    indexing: Indexing | None
    comparison: Comparison
    folder: Path | None = None
    _maps: dict[tuple[Projection, Colors], tuple[int, PhotoMap]] = field(default_factory=dict)
    _drawing: threading.Lock = field(default_factory=threading.Lock)

    def photo_map(self, projection: Projection, colors: Colors) -> PhotoMap:
        """The map; made again only when the library has other photos or vectors. Raises what `make_map` raises."""
        ids = self.searcher.ids()
        state = hash((self.searcher.model.vectors_digest, *ids))
        made = self._maps.get((projection, colors))
        if made is None or made[0] != state:
            with self._drawing:  # one at a time: UMAP takes a minute of every core
                made = self._maps.get((projection, colors))
                if made is None or made[0] != state:
                    rows = self.searcher.rows(some_points(ids))
                    made = state, make_map(rows, projection, colors, total=len(ids))
                    self._maps[projection, colors] = made
        return made[1]

    def close(self) -> None:
        """Stop what goes on, and let go of the library."""
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
    """A library ready to be searched; a folder of photos is taken in meanwhile.

    Args:
        library: folder of the library.
        model: spec of the encoder; None is the library's own, or `catalog.DEFAULT_MODEL` for a new library.
        uploads: folder for what people send.
        photos: folder to take in.
        compared: specs of encoders that may be compared besides those of this machine.
        public: tell nobody where photos lie, and take in no folder.

    Raises:
        MvmrError: the library or its encoder cannot be opened.
    """
    searcher = Searcher(library, model, uploads=uploads, full_paths=not public)
    comparison = Comparison(searcher, [*models_here(), *compared])
    if public:
        return Services(searcher, None, comparison)
    threading.Thread(target=searcher.tidy, name="tidy", daemon=True).start()
    indexing = Indexing(searcher.folder, model, finished=searcher.tidy)
    if photos is not None:
        indexing.start(str(photos))
    return Services(searcher, indexing, comparison, folder=photos)
