"""The models and what is on this machine: published and measured figures apart."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from demo.search import human_size
from mvmr_zoo import list_models
from mvmr_zoo.models import local_folder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mvmr_zoo import ModelCard
    from mvmr_zoo.checkpoint import Figure

_BYTES_A_WEIGHT = 4


class ModelRow(NamedTuple):
    """A model for the table; every field is text for people, figures are one a line."""

    name: str
    here: str
    size: str
    architecture: str
    dimension: str
    published: tuple[str, ...]
    measured: tuple[str, ...]
    license: str


HEADS = ("model", "on this machine", "size", "network", "dimension", "published", "measured here", "license")


def model_rows() -> list[ModelRow]:
    """Every model of the catalog and of this machine, those on this machine first."""
    rows = [_row(card) for card in list_models()]
    return sorted(rows, key=lambda row: row.here == "no")


def models_here() -> list[str]:
    """Names of the models on this machine."""
    return [card.name for card in list_models() if local_folder(card.name) is not None]


def _row(card: ModelCard) -> ModelRow:
    folder = local_folder(card.name)
    here = "no" if folder is None else {"package": "yes, in the package"}.get(folder.location, "yes, imported")
    if folder is not None:
        size = human_size(_bytes_in(folder.path))
    else:
        size = f"about {human_size(card.parameters * _BYTES_A_WEIGHT)} to fetch" if card.parameters else "not known"
    return ModelRow(
        card.name,
        here,
        size,
        f"{card.architecture}, {card.input_px} px",
        f"{card.embedding_dim}",
        _figures(card.published),
        _figures(card.measured),
        card.license,
    )


def _figures(figures: Mapping[str, Figure]) -> tuple[str, ...]:
    return tuple(f"{name} {figure}" for name, figure in figures.items()) or ("—",)


def _bytes_in(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
