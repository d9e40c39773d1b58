"""Summary of the state of a library."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mvmr_zoo.search.compatibility import bound_output
from mvmr_zoo.search.index import Manifest, read_manifest
from mvmr_zoo.search.refresh import needs_refresh
from mvmr_zoo.search.reindex import unfinished

if TYPE_CHECKING:
    from mvmr_zoo.checkpoint import Output
    from mvmr_zoo.images import FailureRow
    from mvmr_zoo.search.store import Store


@dataclass(frozen=True, kw_only=True)
class Status:
    """The state of a library.

    Args:
        folder: Library folder.
        model: Model spec of the encoder of the library. None before the first photo.
        output: Encoder output that the vectors come from. None before the first photo.
        dim: Number of dimensions of `aligned` that are kept. None for features.
        moving_to: Model spec of the target of an interrupted `reindex`. None if there is none.
        photos: Number of photos, without missing ones.
        missing: Number of photos whose files did not exist at the last check. `prune` removes them.
        failures: Photos that could not be indexed, with the reason.
        index: Manifest of the index file. None if there is no index.
        index_current: Whether the index file exists and is up to date. If not, the next `index add` rebuilds it.
    """

    folder: Path
    model: str | None
    output: Output | None
    dim: int | None
    moving_to: str | None
    photos: int
    missing: int
    failures: list[FailureRow]
    index: Manifest | None
    index_current: bool


def read_status(folder: Path, store: Store) -> Status:
    """Read the state of a library, without changing it."""
    model = store.fact("model")
    output = None if model is None else bound_output(store)
    return Status(
        folder=folder,
        model=model,
        output=output,
        dim=store.dim if output == "aligned" else None,
        moving_to=unfinished(store),
        photos=store.count(),
        missing=len(store.paths("missing = 1")),
        failures=store.failures(),
        index=read_manifest(store),
        index_current=not needs_refresh(folder, store),
    )
