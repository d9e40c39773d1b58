"""What is trained on, and what the monitor holds out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Split(NamedTuple):
    """Sorted indices into the images: what is trained on, and what the monitor holds out."""

    train: NDArray[np.int64]
    held_out: NDArray[np.int64]


def stratified_split(labels: NDArray[np.int64], share: float, seed: int, *, limit: int | None = None) -> Split:
    """Hold out `share` of every class, at random but fixed by the seed.

    Args:
        labels: `(N,)`; images without a label, -1, are all trained on.
        share: held out, in [0, 1).
        seed: of the choice.
        limit: keep so many of the others for training, the same share of every class; None keeps all.
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
    return Split(_sorted(rest), _sorted(held_out))


def _sorted(parts: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.sort(np.concatenate(parts)).astype(np.int64) if parts else np.empty(0, np.int64)
