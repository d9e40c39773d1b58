"""How far embeddings spread: the mathematics of the health monitor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from training.distance_correlation import centred_distances, correlate


class Spread(NamedTuple):
    """Of one batch of embeddings.

    `std`: mean deviation of a dimension. `rank`: the effective rank, from 1 to min(N - 1, D), 0 for a
    constant batch: exp of the entropy of the normalised singular values (Roy, Vetterli, *The effective
    rank*, 2007).
    """

    std: float
    rank: float


def spread(z: Tensor) -> Spread:
    """The spread of embeddings `(N, D)`, N at least 2."""
    centred = z.float() - z.float().mean(dim=0)
    gram = centred @ centred.T if len(z) <= z.shape[1] else centred.T @ centred
    singular = torch.linalg.eigvalsh(gram.double()).clamp_min(0).sqrt()
    std = centred.std(dim=0).mean().item()
    if singular.max() <= 1e-6 * z.float().norm():
        return Spread(std, 0.0)
    share = singular / singular.sum()
    entropy = torch.special.entr(share).sum()
    return Spread(std, entropy.exp().item())


def dependence(z: Tensor, others: Mapping[str, Tensor]) -> dict[str, float]:
    """DCor of embeddings `(N, P)` with each of `others` `(N, K)`, by both estimators.

    `dcor/NAME` is the biased estimate, and `dcor/NAME/independent` the same with the rows of one side
    shifted by one, so that they no longer belong together: what it reads where there is nothing to see.
    `dcor_unbiased/NAME` is about 0 there by construction; it is left out for fewer than 4 rows.
    """
    found: dict[str, float] = {}
    of_z, *rest = centred_distances(z, *others.values(), estimator="biased")
    for name, matrix in zip(others, rest, strict=True):
        found[f"dcor/{name}"] = correlate(of_z, matrix, estimator="biased").item()
        shifted = matrix.roll((1, 1), dims=(0, 1))
        found[f"dcor/{name}/independent"] = correlate(of_z, shifted, estimator="biased").item()
    if len(z) >= 4:
        of_z, *rest = centred_distances(z, *others.values(), estimator="unbiased")
        for name, matrix in zip(others, rest, strict=True):
            found[f"dcor_unbiased/{name}"] = correlate(of_z, matrix, estimator="unbiased").item()
    return found
