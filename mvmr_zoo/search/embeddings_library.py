"""`EmbeddingsLibrary`: search in an embeddings folder."""

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
from mvmr_zoo.search.query import Filters, Query, query_vector
from mvmr_zoo.search.ranking import Hit, is_query_photo
from mvmr_zoo.search.score_calibration import score_percentile

if TYPE_CHECKING:
    from numpy.typing import NDArray


class EmbeddingsLibrary:
    """An embeddings folder and its index. The photos may be on another machine. Their files are not checked.

    Args:
        folder: Embeddings folder that `mvmr-zoo embed` has finished, with an index from `mvmr-zoo index build`.
        model: Model spec of the encoder. None selects the encoder that produced the embeddings.
        device: Device of the encoder, as in `load`. The index always stays on disk.

    Raises:
        DataError: The folder is not a finished embeddings folder.
        LibraryError: The folder has no index, or the index belongs to other embeddings.
    """

    def __init__(self, folder: str | os.PathLike[str], *, model: str | None = None, device: Device = "auto") -> None:
        self.folder = Path(folder)
        self.ivfpq: IvfPq = read_ivfpq(self.folder)
        self._mapped = MappedFolder(self.folder)
        self._spec, self._device = model or self._mapped.facts.model, device
        self._model: Model | None = None
        self._index, self._paths = open_ivfpq(self.folder, self._mapped, self.ivfpq)

    @property
    def model(self) -> Model:
        """The encoder. It is loaded on first use.

        Raises:
            LibraryMismatchError: The embeddings were computed by another encoder.
        """
        if self._model is None:
            facts = self._mapped.facts
            model = load_same_output(self._spec, facts.model, facts.output, facts.asked_dim, device=self._device)
            if (model.vectors_digest, model.preprocess.digest) != (facts.weights_digest, facts.preprocess_digest):
                raise LibraryMismatchError(
                    f"{self.folder} was created with the model {facts.model!r}. {model.spec!r} has different weights, "
                    "different preprocessing or a different output. Use --model to select the original model."
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
        """Find the photos most similar to a query, best first. `Hit.id` is the row number in the embeddings.

        Args:
            query: A path, PIL image, array or tensor, or a `Query` with several photos or row numbers.
            k: Number of hits, at least 1.
            offset: Number of best hits to skip, for further pages.
            keep_query: Include the photos of the query in the results.
            min_percentile: Only return hits with a score above this percentile, 0 to 100, of scores of random pairs.

        Raises:
            ImageError: A photo cannot be read.
            ConfigError: A number is out of range.
        """
        Filters(min_percentile=min_percentile)  # checks the range
        if k < 1 or offset < 0:
            raise ConfigError(f"k is {k} and offset is {offset}; expected k of at least 1 and offset of at least 0.")
        parsed = query if isinstance(query, Query) else Query(like=[query])
        vector = query_vector(parsed, lambda photos: self.model.embed(photos), self._vectors_by_row)
        query_photos = len(parsed.like) + len(parsed.like_ids) + len(parsed.unlike) + len(parsed.unlike_ids)
        tuning = self.ivfpq.tuning
        wanted = min(offset + k + (0 if keep_query else query_photos), self.ivfpq.rows)
        scores, rows = nearest(self._mapped, self._index, vector[None], wanted, tuning.nprobe)
        if rows[0, -1] < 0:  # the searched clusters hold too few rows for this page
            scores, rows = nearest(self._mapped, self._index, vector[None], wanted, tuning.lists)
        hits = []
        for row, score in zip(rows[0].tolist(), scores[0].tolist(), strict=True):
            percentile = score_percentile(self.ivfpq.background, score)
            if row < 0 or (min_percentile is not None and percentile is not None and percentile < min_percentile):
                break
            path = self._paths[row]
            if keep_query or not is_query_photo(parsed, row, path):
                hits.append(Hit(row, path, min(score, 1.0), percentile))
        return hits[min(offset, len(hits)) :][: min(k, len(hits))]

    def _vectors_by_row(self, rows: Sequence[int]) -> NDArray[np.float32]:
        if outside := [row for row in rows if not 0 <= row < self.ivfpq.rows]:
            raise ConfigError(f"{self.folder} has no row {outside[0]}. Rows are numbered 0 to {self.ivfpq.rows - 1}.")
        return unit(self._mapped.vectors(rows))
