"""`PhotoLibrary`: index folders of photos, search them, and maintain the library."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from mvmr_zoo._io import Progress
from mvmr_zoo.embed.folder import is_embeddings_folder
from mvmr_zoo.errors import ConfigError, LibraryError
from mvmr_zoo.images import EVERYTHING, Globs
from mvmr_zoo.inference import Model, unit
from mvmr_zoo.models import DEFAULT_MODEL, Device, default_library_path, load
from mvmr_zoo.search.compatibility import bind, is_bound, load_bound
from mvmr_zoo.search.doctor import Finding, examine
from mvmr_zoo.search.duplicates import CORRELATION, COSINE, Group, find_duplicates
from mvmr_zoo.search.index import TARGET, Manifest, VectorIndex, check_recall, open_index, read_manifest
from mvmr_zoo.search.lock import writing
from mvmr_zoo.search.query import Filters, Query, check_folder, query_vector
from mvmr_zoo.search.ranking import Hit, Ranking, grouped_hits, ranked_hits
from mvmr_zoo.search.refresh import EXACT_LIMIT, Note, refresh, retune, vectors_in
from mvmr_zoo.search.reindex import ReindexReport, reindex
from mvmr_zoo.search.removal import Pruned, forget_folders, forget_missing
from mvmr_zoo.search.rows import PhotoRow
from mvmr_zoo.search.status import Status, read_status
from mvmr_zoo.search.store import DATABASE_FILE, Store
from mvmr_zoo.search.sync import AddReport, sha256_of, sync_folders

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mvmr_zoo.checkpoint import Output


class PhotoLibrary:
    """A photo library: a folder with a database of photo vectors and an index. Use it as a context manager.

    Args:
        folder: Library folder. None selects `default_library_path()`.
        model: Model spec of the encoder. None selects the encoder of the library, or the default for a new library.
        output: `features` or `aligned`, for a new library. None selects the output of the library, or the default of
            the encoder.
        dim: Number of dimensions of `aligned` to keep, for a new library. None selects that of the library, or all.
        create: Create the library if it does not exist.
        device: Device of the encoder, as in `load`. With `cuda`, the index is searched on the GPU too.

    Raises:
        LibraryError: The library does not exist and `create` is false, or its folder cannot be used.
        LibraryDamagedError: The database cannot be read.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | None = None,
        *,
        model: str | None = None,
        output: Output | None = None,
        dim: int | None = None,
        create: bool = True,
        device: Device = "auto",
    ) -> None:
        self.folder = Path(folder) if folder is not None else default_library_path()
        if is_embeddings_folder(self.folder):
            raise LibraryError(
                f"{self.folder} is an embeddings folder, not a photo library. It works with `mvmr-zoo search` and with "
                "`mvmr-zoo index` status, tune and build. For other commands, use another --library."
            )
        if not create and not os.path.exists(self.folder / DATABASE_FILE):
            raise LibraryError(
                f"There is no library in {self.folder}. Run `mvmr-zoo index add PHOTO-FOLDER` to create one."
            )
        self._store = Store(self.folder)
        self._spec, self._output, self._dim, self._device = model, output, dim, device
        self._model: Model | None = None
        self._index: VectorIndex | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._store.close()

    @property
    def model(self) -> Model:
        """The encoder. It is loaded on first use.

        Raises:
            LibraryMismatchError: The library was created with another model or output.
        """
        if self._model is None or self._was_reindexed(self._model):
            self._model = load_bound(
                self._store, self._spec, self._output, self._dim, default=DEFAULT_MODEL, device=self._device
            )
        return self._model

    def _was_reindexed(self, model: Model) -> bool:
        """Whether another process has moved the library to another encoder since `model` was loaded."""
        return self._store.fact("weights") is not None and not is_bound(self._store, model)

    def add(
        self,
        folders: Iterable[str | os.PathLike[str]],
        *,
        progress: Progress = lambda done, total: None,
        allow_empty: bool = False,
        globs: Globs = EVERYTHING,
        note: Note = lambda text: None,
    ) -> AddReport:
        """Index all photos in folders and their subfolders. Photos that have not changed are not decoded again.

        Each batch is committed when it is done. If the call is interrupted, the next one continues from there.

        Args:
            folders: Folders of photos.
            progress: Receives the number of processed photos and the total.
            allow_empty: Mark photos as missing even if the folder is now empty. By default, an empty folder is an
                error, because its disk may be disconnected.
            globs: Photos to include and exclude. Excluded photos of these folders are removed from the library.
            note: Receives a message before each slow step that follows the photos.

        Raises:
            DataError: A folder does not exist, cannot be read, or contains no photos.
            LibraryMismatchError: The library was created with another model.
            LibraryBusyError: Another process is changing the library.
        """
        if (self._spec, self._output, self._dim) != (None, None, None):
            _ = self.model  # raises for another model or output, even if no photo has changed
        with writing(self.folder):
            report = sync_folders(
                self._store, self._bound_model, folders, progress, allow_empty=allow_empty, globs=globs
            )
            refresh(self.folder, self._store, note=note)
        return report

    def search(
        self,
        query: Any,
        k: int = 10,
        *,
        filters: Filters | None = None,
        offset: int = 0,
        keep_query: bool = False,
        group: bool = False,
    ) -> list[Hit]:
        """Find the photos most similar to a query, best first. Deleted photos are excluded from the results.

        Args:
            query: A path, PIL image, array or tensor, or a `Query` with several photos or ids.
            k: Number of hits, at least 1.
            filters: Conditions that hits must meet.
            offset: Number of best hits to skip, for further pages.
            keep_query: Include the photos of the query in the results.
            group: Return near duplicates as `copies` of their best copy. `k` and `offset` then count groups.

        Raises:
            ImageError: A photo cannot be read.
            ConfigError: A number is out of range, or an id is not in the library.
            DataError: The library contains no photos from the folder of the filters.
            LibraryError: The library is empty.
        """
        if k < 1 or offset < 0:
            raise ConfigError(f"k is {k} and offset is {offset}; expected k of at least 1 and offset of at least 0.")
        self._check_not_empty()
        parsed = query if isinstance(query, Query) else Query(like=[query])
        filters = filters or Filters()
        if filters.folder is not None:
            check_folder(self._store, filters.folder)
        index = self._open_index()
        if filters.min_percentile is not None and not index.has_percentiles:
            raise ConfigError(
                "The library contains too few photos for percentiles. Search without a minimum percentile."
            )
        vector = query_vector(parsed, lambda photos: self.model.embed(photos), self._vectors_by_id)
        offset, k = min(offset, index.rows), min(k, index.rows)
        excluded = None if keep_query else parsed
        among = self._store.ids(*filters.conditions()) if filters.narrows else None
        ranking = Ranking(self._store, index, vector, among, filters.min_percentile, excluded)
        found = ranked_hits(ranking, wanted=offset + k)
        return list(itertools.islice(grouped_hits(ranking, found) if group else found, offset, offset + k))

    def _vectors_by_id(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Unit vectors `(N, D)` of photos in the library."""
        rows = self._store.by_id(ids)
        if missing := [id_ for id_ in ids if id_ not in rows]:
            raise ConfigError(f"The library {self.folder} has no photo with the id {missing[0]}.")
        return unit(vectors_in(self._store, rows.values()))

    def ids(self) -> list[int]:
        """Ids of all photos that are not missing."""
        return list(map(int, self._store.ids("1", ())))

    def photos(self, ids: Iterable[int]) -> dict[int, PhotoRow]:
        """Records of photos by id, in the order of `ids`. Unknown ids are ignored."""
        return self._store.by_id(ids)

    def folders(self) -> dict[Path, int]:
        """Folders that directly contain photos, sorted, with the number of photos. Missing photos are not counted."""
        counts = Counter(path.rpartition(b"/")[0] for path in self._store.paths("missing = 0"))
        return {Path(os.fsdecode(folder or b"/")): counts[folder] for folder in sorted(counts)}

    def same_as(self, content: bytes) -> list[int]:
        """Ids of the photos whose file content equals `content`."""
        return list(map(int, self._store.ids("content = ?", [sha256_of(content)])))

    def duplicates(
        self,
        *,
        near: bool = True,
        cosine: float = COSINE,
        correlation: float = CORRELATION,
        progress: Progress = lambda done, total: None,
    ) -> list[Group]:
        """Find groups of copies of the same photo. Nothing is deleted.

        Args:
            near: Find near copies too. Exact copies are always found.
            cosine: Smallest cosine similarity of near copies, in (0, 1].
            correlation: Smallest thumbnail correlation of near copies, in (0, 1].
            progress: Receives the number of compared photos and the total.

        Raises:
            ConfigError: A threshold is out of range.
        """
        photos = self.photos(self.ids())
        return find_duplicates(photos, near=near, cosine=cosine, correlation=correlation, progress=progress)

    def remove(self, folders: Iterable[str | os.PathLike[str]]) -> int:
        """Remove all photos and failures of folders from the library. Photo files are not changed.

        Returns:
            Number of removed photos.

        Raises:
            DataError: The library contains no photos from one of the folders.
            LibraryBusyError: Another process is changing the library.
        """
        with writing(self.folder):
            photos = forget_folders(self._store, folders)
            refresh(self.folder, self._store)
        return photos

    def prune(self) -> Pruned:
        """Remove missing photos from the library. Photos whose files exist again are kept.

        Raises:
            LibraryBusyError: Another process is changing the library.
        """
        with writing(self.folder):
            pruned = forget_missing(self._store)
            refresh(self.folder, self._store)
        return pruned

    def reindex(
        self,
        model: str = DEFAULT_MODEL,
        *,
        output: Output | None = None,
        dim: int | None = None,
        forget_missing: bool = False,
        progress: Progress = lambda done, total: None,
        note: Note = lambda text: None,
    ) -> ReindexReport:
        """Switch the library to another encoder. Ids, paths and failures are kept.

        Searches use the old vectors until all new ones are ready. If the call is interrupted, the next one continues
        from there. The present encoder of the library is not needed.

        Args:
            model: Spec of the encoder.
            output: `features` or `aligned`. None is the encoder's default.
            dim: Number of dimensions of `aligned` to keep. None keeps all.
            forget_missing: Remove photos whose files are missing from the library, because no vector can be computed.
            progress: Receives the number of processed photos and the total.
            note: Receives a message before each slow step.

        Raises:
            DataError: Files are missing and `forget_missing` is false. The library keeps its encoder.
            LibraryBusyError: Another process is changing the library.
            UnknownModelError: No encoder has this spec.
        """
        encoder = load(model, output=output, dim=dim, device=self._device)
        with writing(self.folder):
            before = read_manifest(self._store)
            report = reindex(self._store, encoder, progress, forget_missing=forget_missing)
            refresh(self.folder, self._store, note=note)
            now = read_manifest(self._store)
            if before and now and before.tuning and now.tuning and before.tuning.target != now.tuning.target:
                retune(self.folder, self._store, before.tuning.target, note=note)
        self._model, self._index = encoder, None
        self._spec = self._output = self._dim = None
        return report

    def tune(self, recall: float = TARGET, *, note: Note = lambda text: None) -> Manifest:
        """Measure how many clusters each query must search, and store the number. No effect on exact indexes.

        Args:
            recall: Target recall@10, in (0, 1].
            note: Receives a message before each slow step.

        Returns:
            The manifest of the index. Its `tuning` is None if the index is exact.

        Raises:
            ConfigError: `recall` is out of range.
            LibraryError: The library is empty.
            LibraryBusyError: Another process is changing the library.
        """
        check_recall(recall)
        self._check_not_empty()
        with writing(self.folder):
            return retune(self.folder, self._store, recall, note=note)

    def examine(self) -> list[Finding]:
        """Find problems of the library, each with a repair if there is one. Nothing is changed.

        Raises:
            LibraryBusyError: Another process is changing the library.
        """
        with writing(self.folder):
            return examine(self.folder, self._store)

    def repair(self, findings: Iterable[Finding]) -> None:
        """Repair the findings that have a repair.

        Raises:
            LibraryBusyError: Another process is changing the library.
        """
        with writing(self.folder):
            for finding in findings:
                if finding.repair is not None:
                    finding.repair()
            refresh(self.folder, self._store)

    def status(self) -> Status:
        """Summary of the state of the library. Nothing is changed."""
        return read_status(self.folder, self._store)

    def _check_not_empty(self) -> None:
        if self._store.is_empty:
            raise LibraryError(
                f"The library {self.folder} contains no photos. Run `mvmr-zoo index add PHOTO-FOLDER` to add some."
            )

    def _bound_model(self) -> Model:
        """The encoder, after the library has been tied to it."""
        model = self.model
        bind(self._store, model)
        return model

    def _open_index(self) -> VectorIndex:
        """The index, up to date. Rebuilds a missing or damaged file unless another process holds the lock."""
        manifest = read_manifest(self._store)
        if self._index is not None and self._index.manifest is not None and self._index.manifest == manifest:
            self._index.catch_up(self._store)
            return self._index
        gpu = self._device == "cuda"
        index = open_index(self.folder, self._store, gpu=gpu)
        if index.manifest is None and index.rows <= EXACT_LIMIT:  # building a larger one takes minutes
            with suppress(LibraryError), writing(self.folder, patience_s=0):
                refresh(self.folder, self._store, damaged=manifest is not None)
                index = open_index(self.folder, self._store, gpu=gpu)
        self._index = index
        return index
