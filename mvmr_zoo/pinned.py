"""Models published on the Hub, each pinned to one commit. Written by `training.push --update-catalog`."""

from __future__ import annotations

from mvmr_zoo.card import ModelCard

PINNED: tuple[ModelCard, ...] = ()
