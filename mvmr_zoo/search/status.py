"""How a library stands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mvmr_zoo.search.compatibility import bound_output
from mvmr_zoo.search.index import Manifest, read_manifest
from mvmr_zoo.search.refresh import needs_upkeep
from mvmr_zoo.search.reindex import unfinished

if TYPE_CHECKING:
    from mvmr_zoo.checkpoint import Output
    from mvmr_zoo.images import FailureRow
    from mvmr_zoo.search.store import Store


@dataclass(frozen=True, kw_only=True)
class Status:
    """The state of a library.

    Args:
        folder: of the library.
        model: spec of the encoder it is bound to, None before the first photo.
        output: the encoder's output that its vectors are; None before the first photo.
        dim: number of dimensions of `aligned` that are kept; None for features.
        moving_to: spec of the encoder that an interrupted `reindex` was moving the library to; None if there is none.
        photos: how many it holds, those that are missing left out.
        missing: photos whose files were not there when last looked for; `prune` forgets them.
        failures: photos that could not be indexed, with the reason.
        index: the manifest of the index file; None where there is none.
        index_current: whether that file is there and up to date; if not, the next `index add` makes it again.
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
    """How things stand; changes nothing."""
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
        index_current=not needs_upkeep(folder, store),
    )
