"""`PhotoLibrary`: add folders of photos, look at the state, search."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from mvmr_zoo.embed.folder import is_embeddings_folder
from mvmr_zoo.errors import ConfigError, LibraryError
from mvmr_zoo.images import EVERYTHING, Globs
from mvmr_zoo.inference import Model, unit
from mvmr_zoo.models import DEFAULT_MODEL, Device, default_library_path, load
from mvmr_zoo.search.compatibility import bind, is_bound, load_bound
from mvmr_zoo.search.doctor import Finding, examine
from mvmr_zoo.search.duplicates import COSINE, LIKENESS, Group, find_duplicates
from mvmr_zoo.search.index import TARGET, Manifest, VectorIndex, check_recall, open_index, read_manifest
from mvmr_zoo.search.lock import writing
from mvmr_zoo.search.query import Filters, Query, asked_vector
from mvmr_zoo.search.ranking import Hit, grouped_hits, ranked_hits
from mvmr_zoo.search.refresh import EXACT_LIMIT, Note, retune, upkeep, vectors_of
from mvmr_zoo.search.reindex import ReindexReport, reindex
from mvmr_zoo.search.removal import Pruned, forget_folders, forget_missing
from mvmr_zoo.search.rows import PhotoRow
from mvmr_zoo.search.schema import DATABASE_FILE
from mvmr_zoo.search.status import Status, read_status
from mvmr_zoo.search.store import Store
from mvmr_zoo.search.sync import AddReport, Progress, digest, update

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mvmr_zoo.checkpoint import Output


class PhotoLibrary:
    """A folder that remembers every photo's vector. Use as a context manager.

    Args:
        folder: of the library; None is `default_library_path()`.
        model: spec of the encoder. None is the one the library was made with, or the bundled one.
        output: `features` or `aligned`, for a new library. None is the output that the library was made with, or the
            encoder's default.
        dim: number of dimensions of `aligned` to keep, for a new library. None is that of the library, or all.
        create: make the library where there is none.
        device: of the encoder, as `load` takes it; with `cuda` the index is searched on the GPU too.

    Raises:
        LibraryError: there is none and `create` is false, or its folder cannot be used.
        LibraryDamagedError: its database cannot be read.
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
                f"{self.folder} is an embeddings folder, not a photo library. `mvmr-zoo search` and `mvmr-zoo index "
                "status`, `tune` and `build` take it; for anything else give another --library."
            )
        if not create and not os.path.exists(self.folder / DATABASE_FILE):
            raise LibraryError(f"There is no library in {self.folder}. `mvmr-zoo index add PHOTO-FOLDER` makes one.")
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
        """The encoder, loaded when first asked for.

        Raises:
            LibraryMismatchError: the library was made by another model, or from another output.
        """
        if self._model is None or self._was_moved(self._model):
            self._model = load_bound(
                self._store, self._spec, self._output, self._dim, default=DEFAULT_MODEL, device=self._device
            )
        return self._model

    def _was_moved(self, model: Model) -> bool:
        """Whether another command has moved the library to another encoder since this one was loaded."""
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
        """Index every photo below some folders; what is unchanged since the last time is not decoded.

        Every batch is committed as it is done: an add that is killed goes on where it was.

        Args:
            folders: each is searched with its subfolders.
            progress: told how many photos are done, of how many.
            allow_empty: mark the photos of a folder that holds none now as missing; without it such a folder is
                taken for a disk that is not connected.
            globs: which photos to take; others that the library has of these folders are forgotten.
            note: told what takes long once the photos are done.

        Raises:
            DataError: a folder does not exist, cannot be read, or holds no photo.
            LibraryMismatchError: the library was made by another model.
            LibraryBusyError: another command changes the library.
        """
        if (self._spec, self._output, self._dim) != (None, None, None):
            _ = self.model  # rejects another model or output even if no photo changed
        with writing(self.folder):
            report = update(self._store, self._bound_model, folders, progress, allow_empty=allow_empty, globs=globs)
            upkeep(self.folder, self._store, note=note)
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
        """The photos most like a query, best first; files that are gone are left out.

        Args:
            query: a path, PIL image, array or tensor; or a `Query` of several, or of ids.
            k: how many, at least 1.
            filters: which photos may answer.
            offset: leave out so many of the best, for a further page.
            keep_query: let the query's own photos answer too.
            group: put near duplicates behind their best copy; `k` and `offset` then count groups.

        Raises:
            ImageError: a photo cannot be read.
            ConfigError: a number is out of range, or an id is not in the library.
            LibraryError: the library is empty.
        """
        if k < 1 or offset < 0:
            raise ConfigError(f"search got k = {k}, offset = {offset}; expected at least 1, and at least 0.")
        self._check_filled()
        asked = query if isinstance(query, Query) else Query(like=[query])
        filters, index = filters or Filters(), self._opened()
        if filters.min_percentile is not None and not index.has_background:
            raise ConfigError("The library holds too few photos for percentiles; search without a least percentile.")
        vector = asked_vector(asked, lambda photos: self.model.embed(photos), self._known)
        offset, k = min(offset, index.rows), min(k, index.rows)
        hidden = None if keep_query else asked
        found = ranked_hits(self._store, index, vector, filters, hidden=hidden, wanted=offset + k)
        if group:
            found = grouped_hits(self._store, found, wanted=offset + k)
        return list(itertools.islice(found, offset, offset + k))

    def _known(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """`(N, D)` unit vectors of the library's photos."""
        rows = self._store.by_id(ids)
        if missing := [id_ for id_ in ids if id_ not in rows]:
            raise ConfigError(f"The library {self.folder} has no photo with the id {missing[0]}.")
        return unit(vectors_of(self._store, ids))

    def ids(self) -> list[int]:
        """Of every photo that is not missing."""
        return list(map(int, self._store.ids("1", ())))

    def photos(self, ids: Iterable[int]) -> dict[int, PhotoRow]:
        """What is remembered of photos, by id, in the order of the ids; ids that are not there are left out."""
        return self._store.by_id(ids)

    def folders(self) -> dict[Path, int]:
        """Every folder with photos right in it, sorted, and how many; photos that are missing are left out."""
        counts = Counter(path.rpartition(b"/")[0] for path in self._store.paths("missing = 0"))
        return {Path(os.fsdecode(folder or b"/")): counts[folder] for folder in sorted(counts)}

    def same_as(self, content: bytes) -> list[int]:
        """Ids of the photos whose files hold just these bytes."""
        return list(map(int, self._store.ids("content = ?", [digest(content)])))

    def duplicates(
        self,
        *,
        near: bool = True,
        cosine: float = COSINE,
        likeness: float = LIKENESS,
        progress: Progress = lambda done, total: None,
    ) -> list[Group]:
        """Groups of copies of the same photo; see `library.duplicates`. Nothing is deleted."""
        photos = self.photos(self.ids())
        return find_duplicates(photos, near=near, cosine=cosine, likeness=likeness, progress=progress)

    def remove(self, folders: Iterable[str | os.PathLike[str]]) -> int:
        """Forget every photo below some folders, and every failure; returns how many photos. No file is touched.

        Raises:
            DataError: the library has no photo of a folder.
            LibraryBusyError: another command changes the library.
        """
        with writing(self.folder):
            photos = forget_folders(self._store, folders)
            upkeep(self.folder, self._store)
        return photos

    def prune(self) -> Pruned:
        """Forget the photos that are missing; those whose files are there again are kept.

        Raises:
            LibraryBusyError: another command changes the library.
        """
        with writing(self.folder):
            pruned = forget_missing(self._store)
            upkeep(self.folder, self._store)
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
        """Move the library to another encoder. Ids, paths and failures are kept.

        The old vectors answer until all new ones are there. A call that is interrupted goes on when it is made again.
        The library's present encoder is not needed.

        Args:
            model: Spec of the encoder.
            output: `features` or `aligned`. None is the encoder's default.
            dim: Number of dimensions of `aligned` to keep. None keeps all.
            forget_missing: Forget the photos whose files are missing, because they get no new vector.
            progress: Receives the number of photos done and to do.
            note: Receives a sentence when something takes long.

        Raises:
            DataError: Files are missing, and `forget_missing` is false. The library stays with its encoder.
            LibraryBusyError: Another command is changing the library.
            UnknownModelError: There is no such encoder.
        """
        encoder = load(model, output=output, dim=dim, device=self._device)
        with writing(self.folder):
            before = read_manifest(self._store)
            report = reindex(self._store, encoder, progress, forget_missing=forget_missing)
            upkeep(self.folder, self._store, note=note)
            now = read_manifest(self._store)
            if before and now and before.tuning and now.tuning and before.tuning.target != now.tuning.target:
                retune(self.folder, self._store, before.tuning.target, note=note)
        self._model, self._index = encoder, None
        self._spec = self._output = self._dim = None
        return report

    def tune(self, recall: float = TARGET, *, note: Note = lambda text: None) -> Manifest:
        """Choose how many lists a search looks into, by measuring; an exact index has nothing to choose.

        Args:
            recall: share of the 10 nearest photos that a search is to find, in (0, 1].
            note: told what takes long.

        Returns:
            The manifest; its `tuning` is None where the index is exact.

        Raises:
            ConfigError: `recall` is out of range.
            LibraryError: the library is empty.
            LibraryBusyError: another command changes the library.
        """
        check_recall(recall)
        self._check_filled()
        with writing(self.folder):
            return retune(self.folder, self._store, recall, note=note)

    def examine(self) -> list[Finding]:
        """What is wrong with the library, each with what puts it right; changes nothing. See `library.doctor`.

        Raises:
            LibraryBusyError: another command changes the library, so that it cannot be looked over.
        """
        with writing(self.folder):
            return examine(self.folder, self._store)

    def repair(self, findings: Iterable[Finding]) -> None:
        """Put right what can be put right.

        Raises:
            LibraryBusyError: another command changes the library.
        """
        with writing(self.folder):
            for finding in findings:
                if finding.repair is not None:
                    finding.repair()
            upkeep(self.folder, self._store)

    def status(self) -> Status:
        """How things stand; changes nothing."""
        return read_status(self.folder, self._store)

    def _check_filled(self) -> None:
        if self._store.is_empty:
            raise LibraryError(f"The library {self.folder} holds no photo. `mvmr-zoo index add PHOTO-FOLDER` fills it.")

    def _bound_model(self) -> Model:
        """The encoder; from now on the library belongs to it."""
        model = self.model
        bind(self._store, model)
        return model

    def _opened(self) -> VectorIndex:
        """The index as the photos are now; a file that is missing or damaged is made again, if nobody else writes."""
        manifest = read_manifest(self._store)
        if self._index is not None and self._index.manifest is not None and self._index.manifest == manifest:
            self._index.catch_up(self._store)
            return self._index
        gpu = self._device == "cuda"
        index = open_index(self.folder, self._store, gpu=gpu)
        if index.manifest is None and index.rows <= EXACT_LIMIT:  # above, making it takes minutes
            with suppress(LibraryError), writing(self.folder, patience_s=0):
                upkeep(self.folder, self._store, damaged=manifest is not None)
                index = open_index(self.folder, self._store, gpu=gpu)
        self._index = index
        return index
