"""Write the results of a report into the checkpoint folder that was evaluated."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mvmr_zoo.checkpoint import CONFIG_FILE, Checkpoint, add_metrics, checkpoint_of, read_hashes
from mvmr_zoo.errors import ConfigError
from mvmr_zoo.evaluate.linear_sgd import BEST_EPOCH
from mvmr_zoo.models import find, find_folder
from mvmr_zoo.models.adapters import is_external

if TYPE_CHECKING:
    from mvmr_zoo.checkpoint import Figure
    from mvmr_zoo.evaluate.report import Report


def attachable(spec: str) -> Path:
    """The checkpoint folder of a spec, if results can be written into it. The folder is not read.

    Raises:
        ConfigError: The folder is in the cache of the Hub, or the spec is an external encoder.
        UnknownModelError: There is no checkpoint folder with this spec.
    """
    if is_external(spec):
        raise ConfigError(f"--attach writes into a checkpoint folder. The external encoder {spec} has none.")
    folder = find_folder(spec)
    if folder is None:
        find(spec)  # raises if there is no such model
        raise ConfigError(
            f"--attach writes into the checkpoint folder. {spec} is in the cache of the Hub, which is not changed. "
            "Pass a folder of your own."
        )
    return folder.path


def attach_report(report: Report, path: Path | None) -> Checkpoint:
    """Write the results of a report into `config.json` and the model card.

    The other files are not hashed again: `load` did it before the evaluation, and their hashes in `config.json` must be
    those of the report.

    Args:
        report: Report on an encoder.
        path: File of the report, which the results name as their source. None if it was not written.

    Raises:
        ConfigError: The report was measured with other weights, another alignment or another preprocessing.
    """
    folder = attachable(report.spec)
    checkpoint = checkpoint_of(folder, read_hashes(folder / CONFIG_FILE))
    source = path.as_posix() if path is not None else "mvmr-zoo eval"
    return add_metrics(checkpoint, card_figures(checkpoint, report, source))


def card_figures(checkpoint: Checkpoint, report: Report, source: str) -> dict[str, Figure]:
    """The results of a report for a checkpoint's `config.json`, by name.

    The names of results of `aligned` end in `/aligned`, or in `/aligned/dim=K` if only the first K dimensions were
    measured. The best epoch of `linear-sgd-v1` is omitted, because it is chosen on the test split.

    Args:
        checkpoint: The checkpoint that was measured.
        report: The report with the results.
        source: The source that each result names.

    Raises:
        ConfigError: The report was measured with other weights, another alignment or another preprocessing.
    """
    measured = (checkpoint.vectors_digest(report.output, report.dim), checkpoint.config.preprocess.digest)
    if (report.weights, report.preprocess) != measured:
        raise ConfigError(
            f"The weights or the preprocessing of {checkpoint.folder} differ from those in the report on "
            f"{report.model}. Evaluate the model again."
        )
    suffix = "" if report.output == "features" else f"/{report.output}"
    if suffix and report.dim != checkpoint.config.outputs[report.output]:
        suffix += f"/dim={report.dim}"
    return {
        f"{name}{suffix}": replace(each, source=source)
        for name, each in report.figures.items()
        if not name.endswith(BEST_EPOCH)
    }
