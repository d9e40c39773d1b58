"""What the library's FAISS file is, and how it was tuned: a record that the store keeps."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from mvmr_zoo.search.store import Store

Kind = Literal["exact", "ivf"]

INDEX_FACT = "index"
"""The name under which the store keeps the manifest."""


@dataclass(frozen=True)
class CurvePoint:
    """What searching so many lists gives.

    Args:
        nprobe: lists searched.
        recall: mean share of the 10 nearest that is found, over the queries.
        low: 95 % lower bound of that mean.
        query_ms: of one query on one thread, median.
    """

    nprobe: int
    recall: float
    low: float
    query_ms: float


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """How many lists an inverted file searches, and why.

    Args:
        target: recall@10 that was asked for.
        nprobe: the fewest lists whose recall reaches it, by its lower bound; all lists where none does.
        lists: how many there are.
        queries: photos it was measured with; none was used to train the index.
        rows: photos there were.
        curve: everything measured, by `nprobe`.
    """

    target: float
    nprobe: int
    lists: int
    queries: int
    rows: int
    curve: tuple[CurvePoint, ...]

    def __post_init__(self) -> None:
        """Raise ValueError for numbers that no tuning gives."""
        whole = (self.nprobe, self.lists, self.queries, self.rows)
        if not all(type(each) is int for each in whole) or not 1 <= self.nprobe <= self.lists:
            raise ValueError(f"{self.nprobe} of {self.lists} lists")
        if self.nprobe not in (point.nprobe for point in self.curve):
            raise ValueError(f"{self.nprobe} is not on the curve")

    @property
    def chosen(self) -> CurvePoint:
        """The point of the curve that `nprobe` is."""
        return next(point for point in self.curve if point.nprobe == self.nprobe)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a FAISS file is.

    Args:
        generation: counts up with every file made.
        file: its name.
        size: its length in bytes.
        sha256: of its content.
        kind: `exact`, or `ivf`, an inverted file.
        rows: vectors in it.
        last_id: of the newest photo it was made from; later ones are read from the store.
        dim: D.
        background: quantiles 0 to 100 of the cosines of photos of the library at random; empty where there are few.
        trained_rows: photos there were when an inverted file's lists were made.
        tuning: of an inverted file.
    """

    generation: int
    file: str
    size: int
    sha256: str
    kind: Kind
    rows: int
    last_id: int
    dim: int
    background: tuple[float, ...] = ()
    trained_rows: int = 0
    tuning: Tuning | None = None

    def __post_init__(self) -> None:
        """Raise ValueError for what no index file is."""
        whole = (self.generation, self.size, self.rows, self.last_id, self.dim, self.trained_rows)
        if not all(type(each) is int and each >= 0 for each in whole) or self.last_id < self.rows:
            raise ValueError(f"{whole} are no numbers of an index file")
        if not (isinstance(self.file, str) and isinstance(self.sha256, str)) or "/" in self.file:
            raise ValueError(f"{self.file!r} is no name of an index file")
        if (self.kind == "ivf") != (self.tuning is not None) or self.kind not in ("exact", "ivf"):
            raise ValueError(f"an index of the kind {self.kind!r}, tuned: {self.tuning is not None}")
        if len(self.background) not in (0, 101) or not np.isfinite(self.background).all():
            raise ValueError(f"{len(self.background)} quantiles")


def read_manifest(store: Store) -> Manifest | None:
    """The manifest of the library's FAISS file, or None where there is none."""
    text = store.fact(INDEX_FACT)
    if text is None:
        return None
    try:
        values = json.loads(text)
        tuning = None if values["tuning"] is None else tuning_from(values["tuning"])
        return Manifest(**{**values, "background": tuple(values["background"]), "tuning": tuning})
    except (ValueError, TypeError, KeyError, AttributeError):
        return None  # of another release: the file is made again


def tuning_from(values: dict[str, Any]) -> Tuning:
    """What `dataclasses.asdict` made of a `Tuning`. Raises KeyError, TypeError."""
    return Tuning(**{**values, "curve": tuple(CurvePoint(**point) for point in values["curve"])})


def write_manifest(store: Store, manifest: Manifest) -> None:
    """Remember a manifest: from now on the file it names is the library's index."""
    store.set_fact(INDEX_FACT, json.dumps(asdict(manifest)))
