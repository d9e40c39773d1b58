"""Evaluate an encoder by a protocol, or compare two encoders."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from mvmr_zoo.datasets import open_splits
from mvmr_zoo.errors import ConfigError, MvmrError, closest
from mvmr_zoo.evaluate.bootstrap import Difference, differences, figures
from mvmr_zoo.evaluate.cache import HashedSplits, hash_splits
from mvmr_zoo.evaluate.machine import machine
from mvmr_zoo.evaluate.protocols import DEFAULTS, PROTOCOLS, Options, Outcome, Protocol
from mvmr_zoo.evaluate.report import Confusion, Report, worst_confusions
from mvmr_zoo.models import load

if TYPE_CHECKING:
    from mvmr_zoo.checkpoint import Figure, Output
    from mvmr_zoo.inference import Model


class Evaluation(NamedTuple):
    """A report, and the data for plots."""

    report: Report
    model: Model
    splits: HashedSplits
    outcome: Outcome


class Comparison(NamedTuple):
    """A result of two encoders on the same test images, and the first minus the second."""

    name: str
    first: Figure
    second: Figure
    difference: Difference


class Compared(NamedTuple):
    """The reports of two encoders, and their results side by side."""

    first: Report
    second: Report
    rows: list[Comparison]


def evaluate(
    protocol: str,
    spec: str,
    data: str,
    *,
    output: Output | None = None,
    dim: int | None = None,
    root: str | os.PathLike[str] | None = None,
    options: Options = DEFAULTS,
    download: bool = False,
) -> Evaluation:
    """Evaluate an encoder by a protocol.

    Args:
        protocol: Name in `PROTOCOLS`.
        spec: Model spec. See `load`.
        data: Data set. See `open_splits`.
        output: Output of the encoder. See `load`.
        dim: Number of dimensions. See `load`.
        root: Folder of named data sets.
        options: Options of the protocols.
        download: Download a named data set if it is missing.

    Raises:
        ConfigError: The protocol does not exist, or does not apply to this encoder and data set.
        DataError: The data set cannot be read.
        ImageError: An image cannot be read.
    """
    chosen = _protocol(protocol)
    splits = hash_splits(open_splits(data, root, seed=options.seed, download=download))
    return measure(chosen, spec, _load(chosen, spec, output, dim), splits, options)


def evaluate_all(
    spec: str,
    data: str,
    *,
    output: Output | None = None,
    dim: int | None = None,
    root: str | os.PathLike[str] | None = None,
    options: Options = DEFAULTS,
    download: bool = False,
) -> Iterator[tuple[str, Evaluation | MvmrError]]:
    """Evaluate an encoder by all protocols that apply. Yields names with results, or with the error of a protocol.

    See `evaluate` for arguments and errors.
    """
    splits = hash_splits(open_splits(data, root, seed=options.seed, download=download))
    model = load(spec, output=output, dim=dim)
    for name, protocol in PROTOCOLS.items():
        if not protocol.refuses(model, splits):
            try:
                yield name, measure(protocol, spec, _with_output(protocol, model, output, dim), splits, options)
            except MvmrError as error:
                yield name, error


def _load(protocol: Protocol, spec: str, output: Output | None, dim: int | None) -> Model:
    """The model of a spec with the output that the protocol measures by default, unless one is given."""
    return _with_output(protocol, load(spec, output=output, dim=dim), output, dim)


def _with_output(protocol: Protocol, model: Model, output: Output | None, dim: int | None) -> Model:
    """The model with the output that the protocol measures by default, unless one is given."""
    given = output is not None or dim is not None
    return model.with_features() if protocol.prefers_features and not given and model.features_engine else model


def measure(protocol: Protocol, spec: str, model: Model, splits: HashedSplits, options: Options) -> Evaluation:
    """Evaluate a loaded encoder on open splits. Raises ConfigError if the protocol does not apply."""
    if reason := protocol.refuses(model, splits):
        raise ConfigError(f"{protocol.name} cannot be used with {reason}.")
    if protocol.classifier:
        model = model.with_features()
    began = time.perf_counter()
    outcome = protocol.measure(model, splits, options)
    found = figures(outcome.measured, seed=options.seed)
    confusions: tuple[Confusion, ...] = ()
    if outcome.answers is not None:
        confusions = worst_confusions(splits.test.labels, outcome.answers, splits.test.class_names)
    report = Report(
        protocol=protocol.name,
        data=splits.name,
        model=model.card.name,
        spec=spec,
        weights=model.vectors_digest,
        output=model.output,
        dim=model.dim,
        preprocess=model.preprocess.digest,
        images={"train": splits.train_digest, "test": splits.test_digest},
        seed=options.seed,
        seconds=round(time.perf_counter() - began, 1),
        machine=machine(),
        figures={f"{splits.name}/{name}": each for name, each in found.items()},
        confusions=confusions,
    )
    return Evaluation(report, model, splits, outcome)


def compare(
    protocol: str,
    first: str,
    second: str,
    data: str,
    *,
    first_output: Output | None = None,
    first_dim: int | None = None,
    second_output: Output | None = None,
    second_dim: int | None = None,
    root: str | os.PathLike[str] | None = None,
    options: Options = DEFAULTS,
    download: bool = False,
) -> Compared:
    """Compare two encoders on the same test images, with a paired bootstrap of the differences.

    Args:
        protocol: Name in `PROTOCOLS`.
        first: Spec of the first encoder.
        second: Spec of the second encoder. It can be the same encoder with another output.
        data: Data set. See `open_splits`.
        first_output: Output of the first encoder. See `load`.
        first_dim: Number of dimensions of the first encoder. See `load`.
        second_output: Output of the second encoder.
        second_dim: Number of dimensions of the second encoder.
        root: Folder of named data sets.
        options: Options of the protocols.
        download: Download a named data set if it is missing.

    Raises:
        ConfigError: The protocol does not exist, or does not apply to one of the encoders.
        DataError: The data set cannot be read.
        ImageError: An image cannot be read.
    """
    chosen = _protocol(protocol)
    splits = hash_splits(open_splits(data, root, seed=options.seed, download=download))
    one = measure(chosen, first, _load(chosen, first, first_output, first_dim), splits, options)
    other = measure(chosen, second, _load(chosen, second, second_output, second_dim), splits, options)
    rows = [
        Comparison(
            name,
            one.report.figures[f"{splits.name}/{name}"],
            other.report.figures[f"{splits.name}/{name}"],
            difference,
        )
        for name, difference in differences(one.outcome.measured, other.outcome.measured, seed=options.seed).items()
    ]
    return Compared(one.report, other.report, rows)


def _protocol(name: str) -> Protocol:
    if name not in PROTOCOLS:
        near = closest(name, PROTOCOLS) or list(PROTOCOLS)
        raise ConfigError(f"There is no protocol named {name!r}. Closest: {', '.join(near)}.")
    return PROTOCOLS[name]
