"""The manifest of the FAISS file: its kind, size, hash and tuning. It is stored in the database."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from mvmr_zoo.search.store import Store

Kind = Literal["exact", "ivf"]

INDEX_FACT = "index"
"""Key of the manifest in the database."""


@dataclass(frozen=True)
class CurvePoint:
    """Recall and speed for one value of nprobe.

    Args:
        nprobe: Number of clusters searched.
        recall: Mean recall@10 over the queries.
        low: Lower bound of the 95% confidence interval of the mean.
        query_ms: Median time of one query on one thread, in ms.
    """

    nprobe: int
    recall: float
    low: float
    query_ms: float


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """The number of clusters that an IVF index searches, and the measurements behind it.

    Args:
        target: Required recall@10.
        nprobe: Smallest number of clusters whose lower bound of recall reaches the target. All clusters if none does.
        lists: Number of clusters.
        queries: Number of photos used as queries. They are not used to train the index.
        rows: Number of photos at the time of tuning.
        curve: All measurements, ordered by `nprobe`.
    """

    target: float
    nprobe: int
    lists: int
    queries: int
    rows: int
    curve: tuple[CurvePoint, ...]

    def __post_init__(self) -> None:
        """Raise ValueError if the values are inconsistent."""
        whole = (self.nprobe, self.lists, self.queries, self.rows)
        if not all(type(each) is int for each in whole) or not 1 <= self.nprobe <= self.lists:
            raise ValueError(f"nprobe is {self.nprobe}, but there are {self.lists} clusters")
        if self.nprobe not in (point.nprobe for point in self.curve):
            raise ValueError(f"nprobe is {self.nprobe}, which is not on the curve")

    @property
    def chosen(self) -> CurvePoint:
        """The point of the curve at `nprobe`."""
        return next(point for point in self.curve if point.nprobe == self.nprobe)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The description of a FAISS file.

    Args:
        generation: Number of the file. It increases with each new file.
        file: File name.
        size: File size in bytes.
        sha256: SHA-256 of the file.
        kind: `exact`, or `ivf` for an IVF index.
        rows: Number of vectors in the file.
        last_id: Largest photo id in the file. Photos with larger ids are read from the database.
        dim: Length of a vector D.
        background: Quantiles 0 to 100 of the cosines of random pairs of photos. Empty for a library with few photos.
        trained_rows: Number of photos when the clusters of an IVF index were trained.
        tuning: Tuning of an IVF index.
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
        """Raise ValueError if a value is out of range."""
        whole = (self.generation, self.size, self.rows, self.last_id, self.dim, self.trained_rows)
        if not all(type(each) is int and each >= 0 for each in whole) or self.last_id < self.rows:
            raise ValueError(f"{whole} are not valid numbers of an index file")
        if not (isinstance(self.file, str) and isinstance(self.sha256, str)) or "/" in self.file:
            raise ValueError(f"{self.file!r} is not a valid index file name")
        if (self.kind == "ivf") != (self.tuning is not None) or self.kind not in ("exact", "ivf"):
            raise ValueError(f"the kind is {self.kind!r}; expected exact without tuning, or ivf with tuning")
        if len(self.background) not in (0, 101) or not np.isfinite(self.background).all():
            raise ValueError(f"expected 101 finite quantiles or none, got {len(self.background)}")


def read_manifest(store: Store) -> Manifest | None:
    """Read the manifest. Returns None if there is no FAISS file."""
    text = store.fact(INDEX_FACT)
    if text is None:
        return None
    try:
        values = json.loads(text)
        tuning = None if values["tuning"] is None else tuning_from(values["tuning"])
        return Manifest(**{**values, "background": tuple(values["background"]), "tuning": tuning})
    except (ValueError, TypeError, KeyError, AttributeError):
        return None  # written by another release; the file is built again


def tuning_from(values: dict[str, Any]) -> Tuning:
    """Convert the result of `dataclasses.asdict` to a `Tuning`. Raises KeyError or TypeError."""
    return Tuning(**{**values, "curve": tuple(CurvePoint(**point) for point in values["curve"])})


def write_manifest(store: Store, manifest: Manifest) -> None:
    """Store a manifest. Its file becomes the index of the library."""
    store.set_fact(INDEX_FACT, json.dumps(asdict(manifest)))
