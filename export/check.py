"""`mvmr-export check`: repeat the measurements of a parity report with ONNX Runtime alone."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import mvmr_zoo
from export.inputs import load_inputs
from export.limits import Verdict, verdicts
from export.measure import Measurements, measure
from export.parity_report import ReportInputs, read_report_inputs
from export.photos import MIN_PHOTOS, SAMPLES, sample_photos
from export.reference import read_reference
from export.speed import Speed, calls_per_turn, measure_speeds, repeat_photos
from mvmr_zoo._io import scratch_folder
from mvmr_zoo.checkpoint import check_digest
from mvmr_zoo.errors import CheckpointError, DataError
from mvmr_zoo.models.exported import Exported, read_exported

if TYPE_CHECKING:
    from typing import Literal


@dataclass(frozen=True)
class CheckResult:
    """Repeated measurements of a parity report.

    Args:
        verdicts: Result for each limit that can be checked without PyTorch.
        measured: Measured values.
        speed: Speed on this machine, by batch size.
        passed_at_export: Whether the stored report passed. Includes k-NN accuracy, which is not measured again.
    """

    verdicts: list[Verdict]
    measured: Measurements
    speed: dict[int, Speed]
    passed_at_export: bool

    @property
    def passed(self) -> bool:
        """Whether every limit is met, now and at export time."""
        return self.passed_at_export and all(verdict.passed for verdict in self.verdicts)


def check(
    folder: str | os.PathLike[str], *, images: Path | None = None, device: Literal["cpu", "cuda"] = "cpu"
) -> CheckResult:
    """Measure an exported folder again and compare it with the PyTorch outputs stored in it.

    Args:
        folder: Folder written by `mvmr-export onnx`.
        images: Folder of the photos that the report was measured on; None if it was measured on the sample photos.
        device: `cpu` or `cuda`.

    Raises:
        CheckpointError: A file was modified, or a photo is missing or differs from the measured one.
        DataError: The report was measured on other photos and `images` is not given or not a folder.
        MissingDependencyError: The libraries that provide the sample photos are not installed.
    """
    exported = read_exported(folder)
    stored = read_report_inputs(exported.folder, exported.parity_report)
    reference = read_reference(exported.folder, exported.signature)
    if len(stored.names) != len(reference.features) or len(stored.names) < MIN_PHOTOS:
        raise CheckpointError(
            f"{exported.folder}: the parity report lists {len(stored.names)} photos, but reference.safetensors has "
            f"features of {len(reference.features)}. Expected equal counts of at least {MIN_PHOTOS}."
        )
    model = mvmr_zoo.load(f"local-dir:{exported.folder}", device=device)
    with scratch_folder() as scratch:
        root = _photos(exported, stored, images, scratch)
        photos = [root / name for name in stored.names]
        measured = measure(model, exported.signature, photos, reference)
        speed = {}
        for batch, calls in calls_per_turn(exported.signature).items():
            run = functools.partial(model.engine, load_inputs(exported.signature, repeat_photos(photos, batch)))
            speed[batch] = measure_speeds({"onnx": run}, batch=batch, calls=calls)["onnx"]
    return CheckResult(verdicts(stored.limits, measured.figures()), measured, speed, exported.passed)


def _photos(exported: Exported, stored: ReportInputs, images: Path | None, scratch: Path) -> Path:
    """Return the folder that contains the photos of the report. Verifies the digest of each photo."""
    if stored.photos == SAMPLES:
        return sample_photos(scratch).root
    if images is None:
        raise DataError(f"The report of {exported.folder} used {stored.photos}. Pass that folder with --images.")
    if not images.is_dir():
        raise DataError(f"{images} is not a folder. Pass the folder with the {stored.photos}.")
    for name, digest in zip(stored.names, stored.digests, strict=True):
        check_digest(images / name, digest, said_by="export.json says", advice="It differs from the measured photo.")
    return images
