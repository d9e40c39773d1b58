"""Table of the known models, with published and measured results in separate columns."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from demo import markup
from demo.hits import human_size
from mvmr_zoo import list_models
from mvmr_zoo.models import local_folder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mvmr_zoo import ModelCard
    from mvmr_zoo.checkpoint import Figure

_BYTES_PER_WEIGHT = 4


class ModelRow(NamedTuple):
    """A row of the model table. All fields are display text; results have one entry per line."""

    name: str
    location: str
    size: str
    architecture: str
    dimension: str
    published: tuple[str, ...]
    measured: tuple[str, ...]
    license: str


HEADERS = ("Model", "Local", "Size", "Architecture", "Dimension", "Published results", "Measured results", "License")


def model_rows() -> list[ModelRow]:
    """Return the rows of all catalog models and local models, local ones first."""
    rows = [_row(card) for card in list_models()]
    return sorted(rows, key=lambda row: row.location == "no")


def models_table() -> str:
    """Return the table of models, and instructions for adding models."""
    return markup.table(HEADERS, model_rows(), caption="Known models") + markup.note(
        "Published results come from the authors of a model. Measured results come from the model folder and have a "
        "95% confidence interval.",
        "Download a published model with `mvmr-zoo fetch NAME`. Import a file with `mvmr-zoo import FILE --as NAME`.",
        "To create a library with a model, run `mvmr-zoo index add FOLDER --model NAME --library NEW-FOLDER`.",
    )


def local_models() -> list[str]:
    """Return the names of the local models."""
    return [card.name for card in list_models() if local_folder(card.name) is not None]


def _row(card: ModelCard) -> ModelRow:
    folder = local_folder(card.name)
    location = "no" if folder is None else {"package": "yes, bundled"}.get(folder.location, "yes, imported")
    if folder is not None:
        size = human_size(_bytes_in(folder.path))
    else:
        size = f"about {human_size(card.parameters * _BYTES_PER_WEIGHT)} to download" if card.parameters else "unknown"
    return ModelRow(
        card.name,
        location,
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
