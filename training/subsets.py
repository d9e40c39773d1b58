"""Fixed stratified subsets for semi-supervised training, kept in index files that are written once and reused."""

from __future__ import annotations

import csv
import hashlib
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mvmr_zoo.atomic import write_whole
from mvmr_zoo.datasets import ImageSet
from mvmr_zoo.errors import DataError

_HEAD = ("index", "image")


def stratified_subset(labels: NDArray[np.int64], share: float, seed: int) -> NDArray[np.int64]:
    """Sorted indices of `share` of every class, at least one image of each, without replacement.

    Args:
        labels: `(N,)`; images labelled -1 are left out.
        share: in (0, 1].
        seed: of the choice.
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


def subset_file(path: Path, images: ImageSet, share: float, seed: int, among: NDArray[np.int64]) -> NDArray[np.int64]:
    """The indices that a file lists; a file that does not exist is written first.

    It begins with the data set's name and fingerprints, the share and the seed, and then lists each
    image's index and name.

    Args:
        path: of the file.
        images: of which it lists some.
        share: of each class, in (0, 1].
        seed: of the choice.
        among: indices that a new file may list.

    Raises:
        DataError: the file is damaged, or was made for other images, another share or another seed.
    """
    facts = {
        "data": images.name,
        "fingerprint": images.fingerprint,
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
    rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))
    found = {row[0].removeprefix("# "): row[1] for row in rows if len(row) == 2 and row[0].startswith("# ")}
    for name, expected in facts.items():
        if found.get(name) != expected and name != "data":
            raise DataError(
                f"{path} was made for {name} {found.get(name)}, this run has {expected}. "
                "Give another subset file, or delete this one to have it written anew."
            )
    listed = [row for row in rows[len(found) + 1 :] if row]
    try:
        indices = np.asarray([int(row[0]) for row in listed], np.int64)
        named = all(images.describe(int(index)) == row[1] for index, row in zip(indices, listed, strict=True))
    except (ValueError, IndexError):
        named = False
    if not listed or not named or len(np.unique(indices)) != len(indices):
        raise DataError(
            f"{path} is damaged: its rows are not images of {images.name}. Delete it to have it written anew."
        )
    return indices


def _text(facts: dict[str, str], images: ImageSet, chosen: NDArray[np.int64]) -> str:
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerows([f"# {name}", value] for name, value in facts.items())
    writer.writerow(_HEAD)
    writer.writerows([int(index), images.describe(int(index))] for index in chosen)
    return file.getvalue()
