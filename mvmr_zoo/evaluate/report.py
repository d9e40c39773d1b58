"""`Report`: what a protocol measured of one encoder, as a JSON file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mvmr_zoo._io import read_json_object, write_whole
from mvmr_zoo.checkpoint import OUTPUTS, Figure, Output, current_name, output_in_words
from mvmr_zoo.errors import ConfigError, DataError, one_line
from mvmr_zoo.evaluate.labels import confusion_counts

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WORST = 5


class Confusion(NamedTuple):
    """Test images of one class that were given another: how many, and what share of their class."""

    actual: str
    predicted: str
    images: int
    share: float


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a protocol measured of one encoder.

    Args:
        protocol: its name and version, as `knn-v1`.
        data: name of the data set.
        model: name of the encoder.
        weights: `Model.vectors_digest`; for features this is the SHA-256 of the weights.
        preprocess: SHA-256 of its preprocessing.
        seed: of whatever was random.
        seconds: it took.
        spec: what `load` was given.
        output: the output that was measured, `features` or `aligned`.
        dim: length of its vectors; 0 in older reports, which have features only.
        images: SHA-256 of the images measured on, and of those fitted on, by split.
        machine: processor, cores, system, and versions of what computed.
        confusions: the worst pairs of classes, the worst first.
        figures: by name, as `imagenette/knn-v1`; the protocol's own first.
    """

    protocol: str
    data: str
    model: str
    weights: str
    preprocess: str
    seed: int
    seconds: float
    spec: str = ""
    output: Output = "features"
    dim: int = 0
    images: Mapping[str, str] = field(default_factory=dict)
    machine: Mapping[str, str] = field(default_factory=dict)
    confusions: tuple[Confusion, ...] = ()
    figures: Mapping[str, Figure]

    @property
    def shown_output(self) -> str:
        """The suffix of the encoder's name in text: the output in parentheses, or empty for features."""
        return "" if self.output == "features" else f" ({output_in_words(self.output, self.dim)})"


def worst_confusions(
    actual: NDArray[np.int64], predicted: NDArray[np.int64], class_names: Sequence[str]
) -> tuple[Confusion, ...]:
    """The five pairs of classes that are taken for one another most often, by images, the worst first."""
    count = confusion_counts(actual, predicted, len(class_names))
    of_class = np.maximum(count.sum(axis=1), 1)
    np.fill_diagonal(count, 0)
    worst = [int(place) for place in np.argsort(-count, axis=None, kind="stable")[:_WORST]]
    pairs = [divmod(place, len(class_names)) for place in worst if count.flat[place]]
    return tuple(
        Confusion(class_names[a], class_names[b], int(count[a, b]), round(float(count[a, b] / of_class[a]), 4))
        for a, b in pairs
    )


def write_report(path: str | os.PathLike[str], report: Report) -> None:
    """Write a report as JSON, whole or not at all; `markdown.report_markdown` is the same to read."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(target, json.dumps(asdict(report), indent=2) + "\n")


def read_report(path: str | os.PathLike[str]) -> Report:
    """The report in a JSON file. Raises DataError naming the field that is missing or wrong."""
    try:
        values = read_json_object(Path(path))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: {one_line(error)}.") from None
    known = [each.name for each in fields(Report)]
    for each in fields(Report):
        if each.name not in values and each.default is MISSING and each.default_factory is MISSING:
            raise DataError(f"{path} is not an evaluation report: it lacks the field {each.name}.")
    if unknown := sorted(values.keys() - set(known)):
        raise DataError(f"{path}: has the unknown field {unknown[0]}.")
    for name in ("protocol", "data", "model", "weights", "preprocess", "spec"):
        if not isinstance(values.get(name, ""), str):
            raise DataError(f"{path}: {name} is {type(values[name]).__name__}, expected text.")
    for name in ("images", "machine"):
        if not isinstance(values.get(name, {}), dict):
            raise DataError(f"{path}: {name} is {type(values[name]).__name__}, expected an object.")
    if values.get("output", "features") not in OUTPUTS or type(values.get("dim", 0)) is not int:
        found = f"output is {values.get('output')!r} and dim is {values.get('dim')!r}"
        raise DataError(f"{path}: {found}; expected {' or '.join(OUTPUTS)} and a whole number.")
    if not isinstance(values["figures"], dict):
        raise DataError(f"{path}: figures is {type(values['figures']).__name__}, expected an object of figures.")
    try:
        values["figures"] = {current_name(key): Figure.from_json(each) for key, each in values["figures"].items()}
    except ConfigError as error:
        raise DataError(f"{path}: figures: {error}") from None
    try:
        values["confusions"] = tuple(Confusion(*each) for each in values.get("confusions", ()))
    except TypeError:
        raise DataError(f"{path}: confusions is not a list of class, class, images and share.") from None
    return Report(**values | {"protocol": current_name(values["protocol"])})
