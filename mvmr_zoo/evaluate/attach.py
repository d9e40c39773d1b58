"""Writing a report's figures into the checkpoint folder they were measured of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mvmr_zoo.checkpoint import Checkpoint, add_metrics
from mvmr_zoo.errors import ConfigError
from mvmr_zoo.evaluate.linear_sgd import BEST_EPOCH
from mvmr_zoo.foreign import is_foreign
from mvmr_zoo.resolve import find

if TYPE_CHECKING:
    from mvmr_zoo.evaluate.report import Report


def attachable(spec: str) -> Checkpoint:
    """The checkpoint whose folder may be written to.

    Raises:
        ConfigError: it lies in the Hub's cache, or is somebody else's encoder.
        UnknownModelError: the spec is of no checkpoint folder.
    """
    if is_foreign(spec):
        raise ConfigError(f"--attach writes into a checkpoint folder, and {spec}, somebody else's encoder, has none.")
    found = find(spec)
    if found.location == "hub":
        raise ConfigError(
            f"--attach writes into the checkpoint folder, and {spec} lies in the Hub's cache. "
            "Give a folder of your own."
        )
    return found.checkpoint


def attach_report(report: Report, path: Path | None) -> Checkpoint:
    """Write the figures into `config.json` and the card; `path` is the report's file, which they name as their source.

    Figures of `aligned` are kept beside those of features, under names that end in `/aligned`, or `/aligned/dim=K`.
    The best epoch of `linear-sgd@1` stays in the report: it is chosen on test.

    Raises:
        ConfigError: the folder's weights or alignment are not the ones measured.
    """
    checkpoint = attachable(report.spec)
    if checkpoint.vectors_digest(report.output, report.dim) != report.weights:
        raise ConfigError(f"{report.spec} has other weights than the report; measure it again.")
    suffix = "" if report.output == "features" else f"/{report.output}"
    if suffix and report.dim != checkpoint.config.outputs[report.output]:
        suffix += f"/dim={report.dim}"
    source = path.as_posix() if path is not None else "mvmr-zoo eval"
    figures = {name: each for name, each in report.figures.items() if not name.endswith(BEST_EPOCH)}
    return add_metrics(checkpoint, {name + suffix: replace(each, source=source) for name, each in figures.items()})
