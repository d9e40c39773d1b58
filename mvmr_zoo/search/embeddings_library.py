"""`EmbeddingsLibrary`: searching an embeddings folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mvmr_zoo.errors import ConfigError, LibraryMismatchError
from mvmr_zoo.inference import Model, unit
from mvmr_zoo.models import Device
from mvmr_zoo.search.compatibility import load_same_output
from mvmr_zoo.search.index import IvfPq, MappedFolder, nearest, open_ivfpq, read_ivfpq
from mvmr_zoo.search.query import Filters, Query, asked_vector
from mvmr_zoo.search.ranking import Hit, asks_with
from mvmr_zoo.search.score_calibration import percentile

if TYPE_CHECKING:
    from numpy.typing import NDArray


class EmbeddingsLibrary:
    """An embeddings folder and its index. Its photos may lie on other machines, and are not looked for.

    Args:
        folder: that `mvmr-zoo embed` finished, with an index of `mvmr-zoo index build`.
        model: spec of the encoder; None is the one that made the folder.
        device: of the encoder, as `load` takes it; the index stays on the disk.

    Raises:
        DataError: the folder is no finished embeddings folder.
        LibraryError: it has no index, or one of other embeddings.
    """

    def __init__(self, folder: str | os.PathLike[str], *, model: str | None = None, device: Device = "auto") -> None:
        self.folder = Path(folder)
        self.lists: IvfPq = read_ivfpq(self.folder)
        self._mapped = MappedFolder(self.folder)
        self._spec, self._device = model or self._mapped.facts.model, device
        self._model: Model | None = None
        self._index, self._paths = open_ivfpq(self.folder, self._mapped, self.lists)

    @property
    def model(self) -> Model:
        """The encoder, loaded when first asked for.

        Raises:
            LibraryMismatchError: the embeddings were made by another one.
        """
        if self._model is None:
            facts = self._mapped.facts
            model = load_same_output(self._spec, facts.model, facts.output, facts.asked_dim, device=self._device)
            if (model.vectors_digest, model.preprocess.digest) != (facts.weights_digest, facts.preprocess_digest):
                raise LibraryMismatchError(
                    f"{self.folder} was made by the model {facts.model!r}; {model.spec!r} has other weights, "
                    f"another preprocessing or another output. Use --model with the model that made it."
                )
            self._model = model
        return self._model

    def search(
        self,
        query: Any,
        k: int = 10,
        *,
        offset: int = 0,
        keep_query: bool = False,
        min_percentile: float | None = None,
    ) -> list[Hit]:
        """The photos most like a query, best first; `Hit.id` is the row of the embeddings.

        Args:
            query: a path, PIL image, array or tensor; or a `Query` of several, or of rows.
            k: how many, at least 1.
            offset: leave out so many of the best, for a further page.
            keep_query: let the query's own photos answer too.
            min_percentile: only scores above this percentile, 0 to 100, of scores of rows at random.

        Raises:
            ImageError: a photo cannot be read.
            ConfigError: a number is out of range.
        """
        Filters(min_percentile=min_percentile)  # checks it
        if k < 1 or offset < 0:
            raise ConfigError(f"search got k = {k}, offset = {offset}; expected at least 1, and at least 0.")
        asked = query if isinstance(query, Query) else Query(like=[query])
        vector = asked_vector(asked, lambda photos: self.model.embed(photos), self._known)
        own = len(asked.like) + len(asked.like_ids) + len(asked.unlike) + len(asked.unlike_ids)
        wanted, tuning = min(offset + k + (0 if keep_query else own), self.lists.rows), self.lists.tuning
        scores, rows = nearest(self._mapped, self._index, vector[None], wanted, tuning.nprobe)
        if rows[0, -1] < 0:  # a page so far down that the lists do not reach it
            scores, rows = nearest(self._mapped, self._index, vector[None], wanted, tuning.lists)
        hits = []
        for row, score in zip(rows[0].tolist(), scores[0].tolist(), strict=True):
            rank = percentile(self.lists.background, score)
            if row < 0 or (min_percentile is not None and rank is not None and rank < min_percentile):
                break
            path = self._paths[row]
            if keep_query or not asks_with(asked, row, path):
                hits.append(Hit(row, path, min(score, 1.0), rank))
        return hits[min(offset, len(hits)) :][: min(k, len(hits))]

    def _known(self, rows: Sequence[int]) -> NDArray[np.float32]:
        if outside := [row for row in rows if not 0 <= row < self.lists.rows]:
            raise ConfigError(f"{self.folder} has no row {outside[0]}; its rows are 0 to {self.lists.rows - 1}.")
        return unit(self._mapped.vectors(rows))
