"""`PhotoLibrary`: add folders of photos, look at the state, search."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mvmr_zoo.catalog import DEFAULT_MODEL
from mvmr_zoo.errors import ConfigError, LibraryError, LibraryMismatchError
from mvmr_zoo.library.index import build_index, index_matches, open_index, read_manifest
from mvmr_zoo.library.store import DATABASE_FILE, FailureRow, Store
from mvmr_zoo.library.update import AddReport, Progress, update
from mvmr_zoo.model import Model
from mvmr_zoo.zoo import load


@dataclass(frozen=True)
class Hit:
    """A photo found.

    Args:
        id: its number in the library.
        path: of its file.
        score: cosine similarity to the query, in [-1, 1].
    """

    id: int
    path: Path
    score: float


@dataclass(frozen=True, kw_only=True)
class Status:
    """The state of a library.

    Args:
        folder: of the library.
        model: spec of the encoder it is bound to, None before the first photo.
        photos: how many it holds.
        failures: photos that could not be indexed, with the reason.
        generation: of the index file; None where there is none.
        index_current: whether the index file matches the photos; if not, the next command makes it again.
    """

    folder: Path
    model: str | None
    photos: int
    failures: list[FailureRow]
    generation: int | None
    index_current: bool


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
    ) -> AddReport:
        """Index every photo below some folders; what is unchanged since the last time is not decoded.

        Every batch is committed as it is done: an add that is killed goes on where it was.

        Args:
            folders: each is searched with its subfolders.
            progress: told how many photos are done, of how many.
            allow_empty: forget the photos of a folder that holds none now; without it such a folder is
                taken for a disk that is not connected.

        Raises:
            DataError: a folder does not exist, cannot be read, or holds no photo.
            LibraryMismatchError: the library was made by another model.
        """
        if self._spec is not None:
            _ = self.model  # refuse another model even where nothing changed
        report = update(self._store, self._bound_model, folders, progress, allow_empty=allow_empty)
        if report.total and not index_matches(self.folder, self._store):
            build_index(self.folder, self._store)
        return report

    def search(self, photo: Any, k: int = 10) -> list[Hit]:
        """The `k` photos most like one, best first; the photo itself and files that are gone are left out.

        Args:
            photo: a path, PIL image, array or tensor.
            k: how many, at least 1.

        Raises:
            ImageError: the photo cannot be read.
            LibraryError: the library is empty.
        """
        if k < 1:
            raise ConfigError(f"search got k = {k}; expected at least 1.")
        if not self._store.count():
            raise LibraryError(f"The library {self.folder} holds no photo. `mvmr-zoo index add PHOTO-FOLDER` fills it.")
        vector = self.model.embed([photo])
        index = open_index(self.folder, self._store)
        wanted = k + 1
        while True:
            found = index.search(vector, wanted)
            rows = self._store.by_id(found.ids[0].tolist())
            hits = [
                Hit(id_, Path(os.fsdecode(rows[id_].path)), float(score))
                for id_, score in zip(found.ids[0].tolist(), found.scores[0].tolist(), strict=True)
                if id_ in rows
            ]
            hits = [hit for hit in hits if os.path.exists(hit.path) and not _is_file(photo, hit.path)]
            if len(hits) >= k or wanted >= index.manifest.rows:
                return hits[:k]
            wanted *= 4

    def status(self) -> Status:
        """How things stand; changes nothing."""
        manifest = read_manifest(self.folder)
        return Status(
            folder=self.folder,
            model=self._store.fact("model"),
            photos=self._store.count(),
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


def _is_file(photo: Any, path: Path) -> bool:
    """Whether a query is the file at `path`, perhaps by another name."""
    try:
        return isinstance(photo, (str, os.PathLike)) and os.path.samefile(photo, path)
    except OSError:
        return False
