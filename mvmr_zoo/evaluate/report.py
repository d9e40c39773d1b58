"""`Report`: what a protocol measured of one encoder, as a JSON file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mvmr_zoo.atomic import write_whole
from mvmr_zoo.card import Figure
from mvmr_zoo.errors import ConfigError, DataError, one_line
from mvmr_zoo.json_file import read_json_object

if TYPE_CHECKING:
    from numpy.typing import NDArray

_RESAMPLES = 2000


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
        protocol: its name and version, as `knn@1`.
        data: name of the data set.
        model: name of the encoder.
        weights: SHA-256 of its weights.
        preprocess: SHA-256 of its preprocessing.
        seed: of whatever was random.
        seconds: it took.
        spec: what `load` was given.
        images: SHA-256 of the images measured on, and of those fitted on, by split.
        machine: processor, cores, system, and versions of what computed.
        confusions: the worst pairs of classes, the worst first.
        figures: of this encoder, by name, as `imagenette/knn@1`.
        beside: figures of other things measured in the same run, by name.
    """

    protocol: str
    data: str
    model: str
    weights: str
    preprocess: str
    seed: int
    seconds: float
    spec: str = ""
    images: Mapping[str, str] = field(default_factory=dict)
    machine: Mapping[str, str] = field(default_factory=dict)
    confusions: tuple[Confusion, ...] = ()
    figures: Mapping[str, Figure]
    beside: Mapping[str, Figure]


def share(right: NDArray[np.bool_], *, seed: int = 0, source: str = "") -> Figure:
    """The share of `right` `(N,)`, with a 95 % interval by bootstrap over its rows (2,000 resamples)."""
    counts = np.random.default_rng(seed).binomial(len(right), right.mean(), _RESAMPLES)  # resampling a 0/1 column
    return _figure(right, counts / len(right), source)


def mean(values: NDArray[np.float64], *, seed: int = 0, source: str = "") -> Figure:
    """The mean of `values` `(N,)` in [0, 1], with a 95 % interval by bootstrap over its rows (2,000 resamples)."""
    random = np.random.default_rng(seed)
    drawn = [values[random.integers(0, len(values), len(values))].mean() for _ in range(_RESAMPLES)]
    return _figure(values, np.asarray(drawn), source)


def _figure(values: NDArray[Any], resampled: NDArray[np.float64], source: str) -> Figure:
    low, high = (round(float(end), 4) for end in np.percentile(resampled, (2.5, 97.5)))
    return Figure(value=round(float(values.mean()), 4), low=low, high=high, images=len(values), source=source)


def write_report(path: str | os.PathLike[str], report: Report) -> None:
    """Write a report as JSON, whole or not at all."""
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
    for name in ("figures", "beside"):
        if not isinstance(values[name], dict):
            raise DataError(f"{path}: {name} is {type(values[name]).__name__}, expected an object of figures.")
        try:
            values[name] = {key: Figure.from_json(figure) for key, figure in values[name].items()}
        except ConfigError as error:
            raise DataError(f"{path}: {name}: {error}") from None
    try:
        values["confusions"] = tuple(Confusion(*each) for each in values.get("confusions", ()))
    except TypeError:
        raise DataError(f"{path}: confusions is not a list of class, class, images and share.") from None
    return Report(**values)
