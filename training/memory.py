"""Embeddings of past steps, for a distance correlation of more rows than the batch has."""

from __future__ import annotations

import torch
from torch import Tensor

from training.loss import Embedded


class Memory:
    """The last `rows` rows of what the loss compared, without gradient.

    Past embeddings come from slightly older weights, so a memory of a few batches is a good trade and
    one of hundreds is not (compare He et al., *Momentum Contrast*, 2020).

    Args:
        rows: how many are kept, at least 1.
    """

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._held: dict[str, Tensor] = {}

    def past(self, now: Embedded) -> Embedded | None:
        """What is held, oldest first; None where nothing is, or nothing that fits beside `now`."""
        if not self._held or self._widths() != _widths(_named(now)):
            return None
        references = {name.removeprefix("r/"): rows for name, rows in self._held.items() if name.startswith("r/")}
        return Embedded(self._held["z"], self._held.get("z0"), references)

    def push(self, batch: Embedded) -> None:
        """Add a batch, and forget the oldest rows; all of them where rows have become wider or narrower."""
        now = _named(batch)
        if self._widths() != _widths(now):
            self._held = {}
        for name, rows in now.items():
            held = self._held.get(name)
            joined = rows.detach() if held is None else torch.cat([held.to(rows), rows.detach()])
            self._held[name] = joined[-self._rows :].clone()

    def state_dict(self) -> dict[str, Tensor]:
        """What is held, by name."""
        return dict(self._held)

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """The inverse of `state_dict`."""
        self._held = dict(state)

    def _widths(self) -> dict[str, int]:
        return _widths(self._held)


def _named(batch: Embedded) -> dict[str, Tensor]:
    references = {f"r/{name}": rows for name, rows in batch.references.items()}
    return {"z": batch.z} | ({} if batch.z0 is None else {"z0": batch.z0}) | references


def _widths(rows: dict[str, Tensor]) -> dict[str, int]:
    return {name: each.shape[1] for name, each in rows.items()}
