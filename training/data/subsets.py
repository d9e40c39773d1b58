"""The training images of a run: the held-out split, and fixed stratified subsets in index files."""

from __future__ import annotations

import csv
import hashlib
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mvmr_zoo._io import read_regular, write_whole
from mvmr_zoo.datasets import ImageSet
from mvmr_zoo.errors import DataError

_COLUMNS = ("index", "image")


class Split(NamedTuple):
    """Sorted indices of the training images, and of the images held out for the callbacks."""

    train: NDArray[np.int64]
    held_out: NDArray[np.int64]


def stratified_split(labels: NDArray[np.int64], share: float, seed: int, *, limit: int | None = None) -> Split:
    """Hold out `share` of every class, at random but fixed by the seed.

    Args:
        labels: `(N,)`. Images without a label, -1, are never held out.
        share: Share to hold out, in [0, 1).
        seed: Random seed.
        limit: Maximum number of training images, the same share of every class. None keeps all.
    """
    random = np.random.default_rng((seed, 2))
    order = {label: random.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)}
    out = {label: 0 if label < 0 else round(share * len(members)) for label, members in order.items()}
    held_out = [members[: out[label]] for label, members in order.items()]
    rest = [members[out[label] :] for label, members in order.items()]
    available = sum(len(members) for members in rest)
    if limit is not None and limit < available:
        ends = np.cumsum([len(members) for members in rest])
        shares = np.diff(np.round(ends * limit / available).astype(int), prepend=0)
        rest = [members[:count] for members, count in zip(rest, shares, strict=True)]
    return Split(_sorted_union(rest), _sorted_union(held_out))


def stratified_subset(labels: NDArray[np.int64], share: float, seed: int) -> NDArray[np.int64]:
    """Sorted indices of `share` of every class, at least one image of each, without replacement.

    Args:
        labels: `(N,)`. Images labeled -1 are excluded.
        share: Share of every class, in (0, 1].
        seed: Random seed.
    """
    random = np.random.default_rng((seed, 3))
    chosen = []
    for label in np.unique(labels[labels >= 0]):
        members = np.flatnonzero(labels == label)
        chosen.append(random.permutation(members)[: max(1, round(share * len(members)))])
    return np.sort(np.concatenate(chosen)).astype(np.int64) if chosen else np.empty(0, np.int64)


def label_digest(images: ImageSet) -> str:
    """SHA-256 of all labels and class names."""
    return hashlib.sha256(images.labels.tobytes() + "\0".join(images.class_names).encode()).hexdigest()


def name_digest(images: ImageSet) -> str:
    """SHA-256 of all image names in order."""
    digest = hashlib.sha256()
    for index in range(len(images)):
        digest.update(images.describe(index).encode("utf-8", "surrogateescape") + b"\0")
    return digest.hexdigest()


def subset_file(path: Path, images: ImageSet, share: float, seed: int, among: NDArray[np.int64]) -> NDArray[np.int64]:
    """The indices that a file lists. If the file does not exist, it is written first.

    It begins with the data set's name, a digest of its image names and of its labels, the share and the seed.
    Each further row is an image's index and name.

    Args:
        path: Path of the file.
        images: The whole data set.
        share: Share of each class, in (0, 1].
        seed: Random seed.
        among: Indices that a new file may list.

    Raises:
        DataError: The file is damaged, or was made for other images, another share or another seed.
    """
    facts = {
        "data": images.name,
        "names": name_digest(images),
        "labels": label_digest(images),
        "share": f"{share:g}",
        "seed": str(seed),
    }
    if not path.exists():
        offered = np.full_like(images.labels, -1)
        offered[among] = images.labels[among]
        chosen = stratified_subset(offered, share, seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, _text(facts, images, chosen))
    rows = list(csv.reader(io.StringIO(read_regular(path).decode())))
    found = {row[0].removeprefix("# "): row[1] for row in rows if len(row) == 2 and row[0].startswith("# ")}
    for name, expected in facts.items():
        if found.get(name) != expected and name != "data":
            raise DataError(
                f"{path} was made for {name} {found.get(name)}; this run has {expected}. "
                "Use another subset file, or delete this one to write it again."
            )
    listed = [row for row in rows[len(found) + 1 :] if row]
    try:
        indices = np.asarray([int(row[0]) for row in listed], np.int64)
        named = all(images.describe(int(index)) == row[1] for index, row in zip(indices, listed, strict=True))
    except (ValueError, IndexError):
        named = False
    if not listed or not named or len(np.unique(indices)) != len(indices):
        raise DataError(f"{path} is damaged: its rows are not images of {images.name}. Delete it to write it again.")
    return indices


def _text(facts: dict[str, str], images: ImageSet, chosen: NDArray[np.int64]) -> str:
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerows([f"# {name}", value] for name, value in facts.items())
    writer.writerow(_COLUMNS)
    writer.writerows([int(index), images.describe(int(index))] for index in chosen)
    return file.getvalue()


def _sorted_union(parts: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.sort(np.concatenate(parts)).astype(np.int64) if parts else np.empty(0, np.int64)
