"""Read and search the IVF-PQ index of an embeddings folder. `build_ivfpq` writes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mvmr_zoo._io import read_json_object
from mvmr_zoo.checkpoint import file_digest
from mvmr_zoo.embed.folder import MANIFEST_FILE
from mvmr_zoo.errors import LibraryError, one_line
from mvmr_zoo.search.index.faiss_io import faiss_library, read_index
from mvmr_zoo.search.index.manifest import Tuning, tuning_from
from mvmr_zoo.search.index.mapped_folder import MappedFolder, Paths

if TYPE_CHECKING:
    from numpy.typing import NDArray

INDEX = "index"
FACTS_FILE = "index.json"
LISTS_FILE = "vectors.faiss"

CANDIDATES_A_HIT = 20
FEWEST_CANDIDATES = 200
"""Number of candidates, nearest by their codes, that are compared by their exact vectors."""


@dataclass(frozen=True, kw_only=True)
class IvfPq:
    """The contents of `index.json`.

    Args:
        made_of: SHA-256 of the manifest of the embeddings folder.
        rows: Number of vectors.
        size: Size of the index file in bytes.
        code_bytes: Bytes per vector.
        tuning: Number of clusters to search, and its recall.
        background: Quantiles 0 to 100 of the cosines of random pairs of rows.
    """

    made_of: str
    rows: int
    size: int
    code_bytes: int
    tuning: Tuning
    background: tuple[float, ...]

    def __post_init__(self) -> None:
        """Raise ValueError if a value is out of range."""
        whole = (self.rows, self.size, self.code_bytes)
        if not all(type(each) is int and each > 0 for each in whole) or not isinstance(self.made_of, str):
            raise ValueError(f"{whole} are not valid index statistics")
        if len(self.background) != 101 or not np.isfinite(self.background).all():
            raise ValueError(f"expected 101 finite quantiles, got {len(self.background)}")


def has_ivfpq(folder: Path) -> bool:
    """Whether a folder is an embeddings folder with an index."""
    return (folder / INDEX / FACTS_FILE).is_file()


def read_ivfpq(folder: Path) -> IvfPq:
    """Read the `index.json` of an embeddings folder.

    Raises:
        LibraryError: There is no index, it is damaged, or it belongs to other embeddings.
    """
    command = f"Run `mvmr-zoo index build --from {folder}`"
    try:
        values = read_json_object(folder / INDEX / FACTS_FILE)
        values |= {"tuning": tuning_from(values["tuning"]), "background": tuple(values["background"])}
        lists = IvfPq(**values)
    except OSError:
        raise LibraryError(f"{folder} has no index. {command} to build it.") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise LibraryError(f"{folder / INDEX / FACTS_FILE} is damaged. {command} to rebuild it.") from None
    if not (folder / MANIFEST_FILE).is_file() or lists.made_of != file_digest(folder / MANIFEST_FILE):
        raise LibraryError(f"The index of {folder} belongs to other embeddings. {command} to rebuild it.")
    return lists


class OpenIvfPq(NamedTuple):
    """The memory-mapped index, and the paths of its rows."""

    index: Any
    paths: Paths


def open_ivfpq(folder: Path, mapped: MappedFolder, lists: IvfPq | None) -> OpenIvfPq:
    """Open the files of an index.

    Args:
        folder: Embeddings folder.
        mapped: The same folder, memory-mapped.
        lists: Contents of `index.json`. None if it is not written yet.

    Raises:
        LibraryError: A file is missing or damaged, or belongs to other vectors.
    """
    place, what = folder / INDEX, "cannot be read"
    try:
        if lists is None or (place / LISTS_FILE).stat().st_size == lists.size:
            index = read_index(place / LISTS_FILE, mapped=True)
            if (index.ntotal, index.d) == (mapped.rows, mapped.facts.dim):
                return OpenIvfPq(index, Paths(place, mapped.rows))
        what = "has the wrong size"
    except (OSError, RuntimeError, ValueError, EOFError) as error:
        what = f"cannot be read ({one_line(error, 80)})"
    raise LibraryError(
        f"The index of {folder} is damaged: a file in {place} {what}. "
        f"Run `mvmr-zoo index build --from {folder}` to rebuild it."
    )


def nearest(
    mapped: MappedFolder, index: Any, queries: NDArray[np.float32], k: int, nprobe: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Search for the nearest rows. Candidates are found by their codes and ranked by their exact vectors.

    Args:
        mapped: Embeddings folder.
        index: Index of the folder.
        queries: `(Q, D)` unit vectors.
        k: Number of hits per query.
        nprobe: Number of clusters to search.

    Returns:
        Scores and row numbers, `(Q, k)` each, best first. Missing hits have the row -1 and the score -inf.
    """
    wanted = min(max(FEWEST_CANDIDATES, CANDIDATES_A_HIT * k), mapped.rows)
    params = faiss_library().SearchParametersIVF(nprobe=nprobe)
    _, found = index.search(queries, wanted, params=params)
    scores = np.full((len(queries), k), -np.inf, np.float32)
    rows = np.full((len(queries), k), -1, np.int64)
    for number, query in enumerate(queries):
        some = np.sort(found[number][found[number] >= 0])
        exact = mapped.vectors(some) @ query
        best = np.argsort(-exact, kind="stable")[:k]
        scores[number, : len(best)], rows[number, : len(best)] = exact[best], some[best]
    return scores, rows
