"""From a spec to a report: one protocol on one encoder, or on two side by side."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from mvmr_zoo.datasets import Splits, open_splits
from mvmr_zoo.errors import ConfigError, MvmrError, closest
from mvmr_zoo.evaluate.bootstrap import Difference, difference, figure
from mvmr_zoo.evaluate.cache import images_digest
from mvmr_zoo.evaluate.machine import machine
from mvmr_zoo.evaluate.protocols import DEFAULTS, PROTOCOLS, Options, Outcome, Protocol
from mvmr_zoo.evaluate.report import Confusion, Report, worst_confusions
from mvmr_zoo.models import load

if TYPE_CHECKING:
    from mvmr_zoo.checkpoint import Figure, Output
    from mvmr_zoo.inference import Model


class Evaluation(NamedTuple):
    """A report, and what it was made of: for plots."""

    report: Report
    model: Model
    splits: Splits
    outcome: Outcome


class Comparison(NamedTuple):
    """One figure of two encoders over the same test images, and the first less the second."""

    name: str
    first: Figure
    second: Figure
    difference: Difference


class Compared(NamedTuple):
    """The reports of two encoders, and their figures in pairs."""

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
    """Measure one encoder by one protocol.

    Args:
        protocol: a name in `PROTOCOLS`.
        spec: of the encoder, as `load` takes it.
        data: of the data set, as `open_splits` takes it.
        output: output of the encoder, as in `load`.
        dim: number of dimensions, as in `load`.
        root: where named data sets lie.
        options: the seed, and what is measured besides.
        download: fetch a named data set that is not there.

    Raises:
        ConfigError: no such protocol, or it does not apply to this encoder and data.
        DataError: the data cannot be used.
        ImageError: an image cannot be read.
    """
    chosen = _protocol(protocol)
    splits = open_splits(data, root, seed=options.seed, download=download)
    model = _with_output(chosen, load(spec, output=output, dim=dim), output, dim)
    return measure(chosen, spec, model, splits, options)


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
    """Measure one encoder by every protocol that applies, with their names; the error where one cannot measure.

    Arguments and errors of `evaluate`.
    """
    splits = open_splits(data, root, seed=options.seed, download=download)
    model = load(spec, output=output, dim=dim)
    for name, protocol in PROTOCOLS.items():
        if not protocol.refuses(model, splits):
            try:
                yield name, measure(protocol, spec, _with_output(protocol, model, output, dim), splits, options)
            except MvmrError as error:
                yield name, error


def _with_output(protocol: Protocol, model: Model, output: Output | None, dim: int | None) -> Model:
    """The model with the output that the protocol measures where none is given."""
    given = output is not None or dim is not None
    return model.with_features() if protocol.prefers_features and not given and model.features_engine else model


def measure(protocol: Protocol, spec: str, model: Model, splits: Splits, options: Options) -> Evaluation:
    """One protocol on an encoder and splits that are open. Raises ConfigError where it does not apply."""
    _check_applies(protocol, model, splits)
    if protocol.classifier:
        model = model.with_features()
    began = time.perf_counter()
    outcome = protocol.measure(model, splits, options)
    figures = {f"{splits.name}/{name}": figure(each, seed=options.seed) for name, each in outcome.figures.items()}
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
        images={"train": images_digest(splits.train), "test": images_digest(splits.test)},
        seed=options.seed,
        seconds=round(time.perf_counter() - began, 1),
        machine=machine(),
        figures=figures,
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
    """Two encoders on the same test images, figure by figure, with a paired bootstrap of the difference.

    Args:
        protocol: a name in `PROTOCOLS`.
        first: spec of an encoder.
        second: spec of the other. It may be the same encoder with another output.
        data: of the data set, as `open_splits` takes it.
        first_output: output of the first, as in `load`.
        first_dim: its number of dimensions, as in `load`.
        second_output: output of the other.
        second_dim: its number of dimensions.
        root: where named data sets lie.
        options: as in `evaluate`.
        download: fetch a named data set that is not there.

    Raises:
        ConfigError: no such protocol, or it does not apply to one of the two.
        DataError: the data cannot be used.
        ImageError: an image cannot be read.
    """
    chosen, splits = _protocol(protocol), open_splits(data, root, seed=options.seed, download=download)
    one = measure(chosen, first, load(first, output=first_output, dim=first_dim), splits, options)
    other = measure(chosen, second, load(second, output=second_output, dim=second_dim), splits, options)
    rows = [
        Comparison(
            name,
            one.report.figures[f"{splits.name}/{name}"],
            other.report.figures[f"{splits.name}/{name}"],
            difference(measured, other.outcome.figures[name], seed=options.seed),
        )
        for name, measured in one.outcome.figures.items()
    ]
    return Compared(one.report, other.report, rows)


def _protocol(name: str) -> Protocol:
    if name not in PROTOCOLS:
        near = closest(name, PROTOCOLS) or list(PROTOCOLS)
        raise ConfigError(f"No protocol is named {name!r}. Closest: {', '.join(near)}.")
    return PROTOCOLS[name]


def _check_applies(protocol: Protocol, model: Model, splits: Splits) -> None:
    if reason := protocol.refuses(model, splits):
        raise ConfigError(f"{protocol.name} does not apply: {reason}.")
