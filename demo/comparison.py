"""Two encoders on the same photos: what each finds for one query."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from demo.search import Shown
from mvmr_zoo import load
from mvmr_zoo.errors import ConfigError
from mvmr_zoo.inference import unit

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from demo.search import Searcher
    from mvmr_zoo import Model
    from mvmr_zoo.search import PhotoRow

_BATCH = 32

Progress = Callable[[int, int], None]


class Compared(NamedTuple):
    """A photo and its cosine to the query, in [-1, 1]."""

    photo: Shown
    score: float


class Column(NamedTuple):
    """What one encoder finds, best first, and among how many photos."""

    spec: str
    hits: list[Compared]
    among: int


class Comparison:
    """Encoders beside the library's own; vectors that were made once are kept in memory.

    Args:
        searcher: of the library, whose photos are compared.
        specs: of the encoders that may be chosen; the library's own is always among them.
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
        """A column an encoder, over the same photos of the library.

        Args:
            query: upright RGB.
            specs: of encoders, each one of `self.specs`.
            hidden: ids that may not answer, as that of the query.
            photos: at most so many of the library, drawn at random, the same ones every time.
            k: hits of each.
            progress: told how many photos an encoder has embedded, of how many.

        Raises:
            ConfigError: an encoder that is not offered.
        """
        if unknown := [spec for spec in specs if spec not in self._vectors]:
            raise ConfigError(f"{unknown[0]!r} is not offered here; expected one of {', '.join(self.specs)}.")
        ids = [id_ for id_ in self._searcher.ids() if id_ not in hidden]
        rows = self._searcher.rows(random.Random(0).sample(ids, min(photos, len(ids))))
        with self._lock:  # one comparison at a time: encoders are large, and each takes every core
            return [self._column(spec, query, rows, k, progress) for spec in specs]

    def _column(self, spec: str, query: Image.Image, rows: dict[int, PhotoRow], k: int, progress: Progress) -> Column:
        if spec not in self._models:
            self._models[spec] = load(spec)
        model = self._models[spec]
        known = self._vectors[spec]
        if model is self._searcher.model:
            known |= {row.content: row.vector.astype(np.float32) for row in rows.values()}
        else:
            self._embed(model, known, rows, progress)
        ids = [id_ for id_, row in rows.items() if row.content in known]
        if not ids:
            return Column(spec, [], 0)
        cosines = unit(np.stack([known[rows[id_].content] for id_ in ids])) @ model.embed(query)[0]
        best = np.argsort(-cosines, kind="stable")[:k].tolist()
        shown = self._searcher.show([ids[each] for each in best])
        return Column(spec, [Compared(*each) for each in zip(shown, cosines[best].tolist(), strict=True)], len(ids))

    def _embed(
        self, model: Model, known: dict[bytes, NDArray[np.float32]], rows: dict[int, PhotoRow], progress: Progress
    ) -> None:
        """Make the vectors that are not known; photos that cannot be read any more get none."""
        missing = list({row.content: row for row in rows.values() if row.content not in known}.values())
        progress(0, len(missing))
        for first in range(0, len(missing), _BATCH):
            some = missing[first : first + _BATCH]
            found = model.embed_with_failures([os.fsdecode(row.path) for row in some])
            known |= {some[row].content: vector for row, vector in zip(found.rows, found.vectors, strict=True)}
            progress(min(first + _BATCH, len(missing)), len(missing))
