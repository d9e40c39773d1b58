"""`PhotoLibrary`: add folders of photos, look at the state, search."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from mvmr_zoo.catalog import DEFAULT_MODEL
from mvmr_zoo.errors import ConfigError, LibraryError, LibraryMismatchError
from mvmr_zoo.features import unit
from mvmr_zoo.library.doctor import Finding, examine
from mvmr_zoo.library.duplicates import COSINE, LIKENESS, Group, find_duplicates
from mvmr_zoo.library.index import build_index, index_matches, open_index, read_manifest
from mvmr_zoo.library.query import Filters, Query, query_vector
from mvmr_zoo.library.rows import FailureRow
from mvmr_zoo.library.scan import EVERYTHING, Globs
from mvmr_zoo.library.schema import DATABASE_FILE
from mvmr_zoo.library.search import Hit, grouped_hits, ranked_hits
from mvmr_zoo.library.store import Store
from mvmr_zoo.library.update import AddReport, Progress, update
from mvmr_zoo.model import Model
from mvmr_zoo.zoo import load

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Status:
    """The state of a library.

    Args:
        folder: of the library.
        model: spec of the encoder it is bound to, None before the first photo.
        photos: how many it holds, those that are missing left out.
        missing: photos whose files were not there when last looked for; `prune` forgets them.
        failures: photos that could not be indexed, with the reason.
        generation: of the index file; None where there is none.
        index_current: whether the index file matches the photos; if not, the next command makes it again.
    """

    folder: Path
    model: str | None
    photos: int
    missing: int
    failures: list[FailureRow]
    generation: int | None
    index_current: bool


class Pruned(NamedTuple):
    """What `prune` did: photos forgotten, and photos whose files are there again."""

    forgotten: int
    back: int


def default_library_path() -> Path:
    """`$MVMR_LIBRARY`, else `~/.local/share/mvmr_zoo/library`."""
    named = os.environ.get("MVMR_LIBRARY")
    return Path(named) if named else Path.home() / ".local/share/mvmr_zoo/library"


class PhotoLibrary:
    """A folder that remembers every photo's vector. Use as a context manager.

    Args:
        folder: of the library; None is `default_library_path()`.
        model: spec of the encoder. None is the one the library was made with, or the bundled one.
        create: make the library where there is none.

    Raises:
        LibraryError: there is none and `create` is false, or its folder cannot be used.
        LibraryDamagedError: its database cannot be read.
    """

    def __init__(
        self, folder: str | os.PathLike[str] | None = None, *, model: str | None = None, create: bool = True
    ) -> None:
        self.folder = Path(folder) if folder is not None else default_library_path()
        if not create and not os.path.exists(self.folder / DATABASE_FILE):
            raise LibraryError(f"There is no library in {self.folder}. `mvmr-zoo index add PHOTO-FOLDER` makes one.")
        self._store = Store(self.folder)
        self._spec = model
        self._model: Model | None = None

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
            LibraryMismatchError: the library was made by another one.
        """
        if self._model is None:
            model = load(self._spec or self._store.fact("model") or DEFAULT_MODEL)
            self._check_bound(model)
            self._model = model
        return self._model

    def add(
        self,
        folders: Iterable[str | os.PathLike[str]],
        *,
        progress: Progress = lambda done, total: None,
        allow_empty: bool = False,
        globs: Globs = EVERYTHING,
    ) -> AddReport:
        """Index every photo below some folders; what is unchanged since the last time is not decoded.

        Every batch is committed as it is done: an add that is killed goes on where it was.

        Args:
            folders: each is searched with its subfolders.
            progress: told how many photos are done, of how many.
            allow_empty: mark the photos of a folder that holds none now as missing; without it such a folder is
                taken for a disk that is not connected.
            globs: which photos to take; others that the library has of these folders are forgotten.

        Raises:
            DataError: a folder does not exist, cannot be read, or holds no photo.
            LibraryMismatchError: the library was made by another model.
        """
        if self._spec is not None:
            _ = self.model  # refuse another model even where nothing changed
        report = update(self._store, self._bound_model, folders, progress, allow_empty=allow_empty, globs=globs)
        if report.total and not index_matches(self.folder, self._store):
            build_index(self.folder, self._store)
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
        if not self._store.count():
            raise LibraryError(f"The library {self.folder} holds no photo. `mvmr-zoo index add PHOTO-FOLDER` fills it.")
        asked = query if isinstance(query, Query) else Query(like=[query])
        vector = query_vector(self._vectors(asked.like, asked.like_ids), self._vectors(asked.unlike, asked.unlike_ids))
        index = open_index(self.folder, self._store)
        found = ranked_hits(self._store, index, vector, filters or Filters(), hidden=None if keep_query else asked)
        if group:
            found = grouped_hits(self._store, found, wanted=offset + k)
        return list(itertools.islice(found, offset, offset + k))

    def _vectors(self, photos: Sequence[Any], ids: Sequence[int]) -> NDArray[np.float32]:
        """`(N, D)` unit vectors of photos, embedded now, and of ids, which are known."""
        rows = self._store.by_id(ids)
        if missing := [id_ for id_ in ids if id_ not in rows]:
            raise ConfigError(f"The library {self.folder} has no photo with the id {missing[0]}.")
        known = [rows[id_].vector.astype(np.float32) for id_ in ids]
        embedded = self.model.embed(photos) if len(photos) else np.empty((0, self._dim), np.float32)
        return np.concatenate([embedded, unit(np.reshape(np.asarray(known, np.float32), (-1, self._dim)))])

    @property
    def _dim(self) -> int:
        return int(self._store.fact("dim") or 0)

    def duplicates(
        self,
        *,
        near: bool = True,
        cosine: float = COSINE,
        likeness: float = LIKENESS,
        progress: Progress = lambda done, total: None,
    ) -> list[Group]:
        """Groups of copies of the same photo; see `library.duplicates`. Nothing is deleted."""
        ids, _ = self._store.vectors()
        photos = self._store.by_id(ids.tolist())
        return find_duplicates(photos, near=near, cosine=cosine, likeness=likeness, progress=progress)

    def prune(self) -> Pruned:
        """Forget the photos that are missing; those whose files are there again are kept."""
        paths = self._store.paths("missing = 1")
        back = [path for path in paths if os.path.exists(path)]
        gone = sorted(set(paths) - set(back))
        self._store.write(gone=gone)
        self._store.mark(back=back)
        return Pruned(len(gone), len(back))

    def examine(self) -> list[Finding]:
        """What is wrong with the library, each with what puts it right; changes nothing. See `library.doctor`."""
        return examine(self.folder, self._store)

    def status(self) -> Status:
        """How things stand; changes nothing."""
        manifest = read_manifest(self.folder)
        return Status(
            folder=self.folder,
            model=self._store.fact("model"),
            photos=self._store.count(),
            missing=len(self._store.paths("missing = 1")),
            failures=self._store.failures(),
            generation=manifest.generation if manifest else None,
            index_current=index_matches(self.folder, self._store),
        )

    def _bound_model(self) -> Model:
        """The encoder; from now on the library belongs to it."""
        model = self.model
        facts = {"model": model.spec, "dim": str(model.card.embedding_dim), **_identity(model)}
        self._store.settle_facts(facts)
        self._check_bound(model)  # another command may have been first
        return model

    def _check_bound(self, model: Model) -> None:
        for name, value in _identity(model).items():
            if self._store.fact(name) in (None, value):
                continue
            bound = self._store.fact("model")
            if bound == model.spec:
                raise LibraryMismatchError(
                    f"The library {self.folder} was made by an earlier {bound!r}, whose {name} was another. "
                    "Move the library folder away and index again, or use another --library."
                )
            raise LibraryMismatchError(
                f"The library {self.folder} was made by the model {bound!r}; {model.spec!r} has another {name}. "
                f"Give `--model {bound}`, or another --library for {model.spec!r}."
            )


def _identity(model: Model) -> dict[str, str]:
    return {"weights": model.weights_digest, "preprocess": model.preprocess.digest}
