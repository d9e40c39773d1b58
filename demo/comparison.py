"""Compare the search results of two encoders on the same photos."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from demo.hits import PhotoDetails
from mvmr_zoo import load
from mvmr_zoo.errors import ConfigError
from mvmr_zoo.inference import unit

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from demo.searcher import Searcher
    from mvmr_zoo import Model
    from mvmr_zoo.search import PhotoRow

_BATCH = 32

Progress = Callable[[int, int], None]


class ComparedHit(NamedTuple):
    """A photo and its cosine similarity to the query, in [-1, 1]."""

    photo: PhotoDetails
    score: float


class Column(NamedTuple):
    """Hits of one encoder, best first, and the number of photos that were searched."""

    spec: str
    hits: list[ComparedHit]
    searched: int


class Comparison:
    """Compares encoders on the photos of a library. Computed vectors are cached in memory.

    Args:
        searcher: Searcher of the library.
        specs: Specs of the encoders to offer. The encoder of the library is always included.
    """

    def __init__(self, searcher: Searcher, specs: Sequence[str]) -> None:
        self._searcher = searcher
        self.specs = tuple(dict.fromkeys([searcher.model.spec, *specs]))
        self._models: dict[str, Model] = {searcher.model.spec: searcher.model}
        self._vectors: dict[str, dict[bytes, NDArray[np.float32]]] = {spec: {} for spec in self.specs}
        self._lock = threading.Lock()

    def compare(
        self,
        query: Image.Image,
        specs: Sequence[str],
        *,
        hidden: Collection[int] = (),
        photos: int = 500,
        k: int = 12,
        progress: Progress = lambda done, total: None,
    ) -> list[Column]:
        """Search the same photos of the library with each encoder and return one column per encoder.

        Args:
            query: Upright RGB image.
            specs: Specs of the encoders, all from `self.specs`.
            hidden: Ids to exclude from the hits, such as that of the query.
            photos: Maximum number of photos to search. They are a random sample with a fixed seed.
            k: Number of hits per encoder.
            progress: Callback that receives the number of embedded photos and their total.

        Raises:
            ConfigError: An encoder is not offered.
        """
        if unknown := [spec for spec in specs if spec not in self._vectors]:
            raise ConfigError(f"{unknown[0]!r} is not available. Choose one of {', '.join(self.specs)}.")
        ids = [id_ for id_ in self._searcher.ids() if id_ not in hidden]
        rows = self._searcher.rows(random.Random(0).sample(ids, min(photos, len(ids))))
        with self._lock:  # one comparison at a time, because each encoder is large and uses all cores
            return [self._column(spec, query, rows, k, progress) for spec in specs]

    def _column(self, spec: str, query: Image.Image, rows: dict[int, PhotoRow], k: int, progress: Progress) -> Column:
        if spec not in self._models:
            self._models[spec] = load(spec)
        model = self._models[spec]
        known = self._vectors[spec]
        if model is self._searcher.model:
            known |= {row.sha256: row.vector.astype(np.float32) for row in rows.values()}
        else:
            self._embed(model, known, rows, progress)
        ids = [id_ for id_, row in rows.items() if row.sha256 in known]
        if not ids:
            return Column(spec, [], 0)
        cosines = unit(np.stack([known[rows[id_].sha256] for id_ in ids])) @ model.embed(query)[0]
        best = np.argsort(-cosines, kind="stable")[:k].tolist()
        details = self._searcher.details([ids[each] for each in best])
        hits = [ComparedHit(*each) for each in zip(details, cosines[best].tolist(), strict=True)]
        return Column(spec, hits, len(ids))

    def _embed(
        self, model: Model, known: dict[bytes, NDArray[np.float32]], rows: dict[int, PhotoRow], progress: Progress
    ) -> None:
        """Compute the missing vectors. Unreadable photos are skipped."""
        missing = list({row.sha256: row for row in rows.values() if row.sha256 not in known}.values())
        progress(0, len(missing))
        for first in range(0, len(missing), _BATCH):
            batch = missing[first : first + _BATCH]
            found = model.embed_with_failures([os.fsdecode(row.path) for row in batch])
            known |= {batch[row].sha256: vector for row, vector in zip(found.rows, found.vectors, strict=True)}
            progress(min(first + _BATCH, len(missing)), len(missing))
