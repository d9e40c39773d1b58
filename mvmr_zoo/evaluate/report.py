"""`Report`: the result of a protocol for one encoder, as a JSON file."""

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
    """Test images of one class that were predicted as another: their number and their share of the class."""

    actual: str
    predicted: str
    images: int
    share: float


@dataclass(frozen=True, kw_only=True)
class Report:
    """The result of a protocol for one encoder.

    Args:
        protocol: Name and version of the protocol, for example `knn-v1`.
        data: Name of the data set.
        model: Name of the encoder.
        weights: `Model.vectors_digest`. For features this is the SHA-256 of the weights.
        preprocess: SHA-256 of the preprocessing.
        seed: Random seed.
        seconds: Duration in seconds.
        spec: Model spec.
        output: Output that was measured, `features` or `aligned`.
        dim: Length of the vectors. 0 in older reports, which have features only.
        images: SHA-256 of the images by split, `train` and `test`.
        machine: Processor, cores, system and package versions.
        confusions: The most frequent confusions, most frequent first.
        figures: Results by name, for example `imagenette/knn-v1`. The main result of the protocol is first.
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
    """The five most frequent confusions, by number of images."""
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
    """Write a report as JSON atomically. `report_markdown` gives a readable version."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(target, json.dumps(asdict(report), indent=2) + "\n")


def read_report(path: str | os.PathLike[str]) -> Report:
    """Read a report from a JSON file. Raises DataError with the name of a missing or wrong field."""
    try:
        values = read_json_object(Path(path))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: {one_line(error)}.") from None
    known = [each.name for each in fields(Report)]
    for each in fields(Report):
        if each.name not in values and each.default is MISSING and each.default_factory is MISSING:
            raise DataError(f"{path} is not an evaluation report: the field {each.name} is missing.")
    if unknown := sorted(values.keys() - set(known)):
        raise DataError(f"{path}: the field {unknown[0]} is unknown.")
    for name in ("protocol", "data", "model", "weights", "preprocess", "spec"):
        if not isinstance(values.get(name, ""), str):
            raise DataError(f"{path}: {name} is {type(values[name]).__name__}; expected text.")
    for name in ("images", "machine"):
        if not isinstance(values.get(name, {}), dict):
            raise DataError(f"{path}: {name} is {type(values[name]).__name__}; expected an object.")
    if values.get("output", "features") not in OUTPUTS or type(values.get("dim", 0)) is not int:
        found = f"output is {values.get('output')!r} and dim is {values.get('dim')!r}"
        raise DataError(f"{path}: {found}; expected {' or '.join(OUTPUTS)} and an integer.")
    if not isinstance(values["figures"], dict):
        raise DataError(f"{path}: figures is {type(values['figures']).__name__}; expected an object of results.")
    try:
        values["figures"] = {current_name(key): Figure.from_json(each) for key, each in values["figures"].items()}
    except ConfigError as error:
        raise DataError(f"{path}: figures: {error}") from None
    try:
        values["confusions"] = tuple(Confusion(*each) for each in values.get("confusions", ()))
    except TypeError:
        raise DataError(
            f"{path}: each entry of confusions must list the actual class, the predicted class, the number of images "
            "and the share."
        ) from None
    return Report(**values | {"protocol": current_name(values["protocol"])})
