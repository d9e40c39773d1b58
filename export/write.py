"""`mvmr-export onnx`: export a model to a folder. The folder is written atomically."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from export.accuracy import accuracy, margin
from export.convert import Converted, convert, encoder_graph, finalize
from export.limits import Limits, limits_of, verdicts
from export.measure import measure
from export.options import ExportOptions, signature_of
from export.parity_report import ParityReport, write_parity_report
from export.photos import SAMPLES, Photos, digests, folder_photos, sample_photos
from export.reference import Reference, make_reference, write_reference
from export.source import Source, check_size, read_source
from export.speed import compare_with_pytorch
from mvmr_zoo._io import counted, replace_folder, scratch_folder
from mvmr_zoo.errors import ConfigError, LimitError
from mvmr_zoo.evaluate import machine
from mvmr_zoo.models.exported import HASHED, MODEL_FILE, PARITY_REPORT_FILE, ExportedEngine, Signature, holds_export

if TYPE_CHECKING:
    from mvmr_zoo.checkpoint import Head


@dataclass(frozen=True, kw_only=True)
class Demands:
    """Photos and limits of a parity report.

    Args:
        images: Folder of photos; None uses the sample photos.
        labels: Use the subfolders of `images` as class labels and measure k-NN accuracy.
        min_agreement: Minimum fraction of photos with the same nearest neighbor; None uses the default of the dtype.
        max_drop: Maximum drop of k-NN accuracy in percentage points; None uses the default of the dtype.
        allow_failed: Write the folder even if a limit is missed, and mark it as failed.
    """

    images: Path | None = None
    labels: bool = False
    min_agreement: float | None = None
    max_drop: float | None = None
    allow_failed: bool = False

    def __post_init__(self) -> None:
        """Raise ConfigError if labels are requested without a folder of photos."""
        if self.labels and self.images is None:
            raise ConfigError(
                "--labels needs --images. Pass a folder with one subfolder per class and at least 2,000 photos."
            )


def export_onnx(
    spec: str,
    folder: str | os.PathLike[str],
    options: ExportOptions,
    demands: Demands,
    *,
    progress: Callable[[str], object] = lambda _: None,
) -> ParityReport:
    """Export a model to a folder and write its parity report. An existing exported folder is replaced.

    Args:
        spec: Model spec, as for `mvmr_zoo.load`.
        folder: Folder to write.
        options: Export options.
        demands: Photos and limits of the parity report.
        progress: Callback that receives one line of text per step.

    Raises:
        LimitError: A limit was missed. Nothing was written.
        ConfigError: An option is invalid, or the folder exists and is not an exported folder.
        MvmrError: The model or the photos cannot be used.
    """
    base = Path(folder).absolute()
    check_destination(base)
    output = "features" if options.head else options.output
    source = read_source(spec, options.device, output=output, dim=options.dim)
    signature = signature_of(source.model, options)
    limits = limits_of(signature, labels=demands.labels, min_agreement=demands.min_agreement, max_drop=demands.max_drop)
    check_size(source.model, signature.preprocess)
    head = source.head if signature.head else None
    with scratch_folder(base.parent) as scratch:
        if demands.images is None:
            photos = sample_photos(scratch / ".photos")
        else:
            photos = folder_photos(demands.images, labels=demands.labels)
        progress(f"Running PyTorch on {len(photos.measured)} {photos.source}")
        reference = make_reference(source.model, signature, photos.measured, head)
        progress(f"Converting {spec} to ONNX, {signature.dtype}")
        work, files = scratch / base.name, scratch / ".files"
        files.mkdir()
        limit_margin = margin(reference.features, photos.labels, limits)
        converted = convert(encoder_graph(source.network, signature), signature, photos, limit_margin, files)
        _write_files(work, source, converted, signature, head, reference)
        progress(f"Running ONNX Runtime on {len(photos.measured)} {photos.source}")
        report = _make_report(work, source, converted, signature, limits, photos, reference)
        if not report.passed and not demands.allow_failed:
            raise LimitError(
                f"{base} was not written: {describe_failed_limits(report)}. "
                "Pass --allow-failed to write it anyway, marked as failed."
            )
        write_parity_report(work, report)
        check_destination(base)
        replace_folder(work, base)
    return report


def _write_files(
    work: Path, source: Source, converted: Converted, signature: Signature, head: Head | None, reference: Reference
) -> None:
    """Write all files of the folder except the parity report."""
    work.mkdir()
    model = finalize(converted, signature, head, source.model)
    (work / MODEL_FILE).write_bytes(model.SerializeToString(deterministic=True))
    source.write_config(work)
    write_reference(work, reference.stored())


def _make_report(
    work: Path,
    source: Source,
    converted: Converted,
    signature: Signature,
    limits: Limits,
    photos: Photos,
    reference: Reference,
) -> ParityReport:
    """Measure a written folder and return its parity report."""
    engine = ExportedEngine(work, signature, device=source.model.engine.device)
    measured = measure(replace(source.model, engine=engine), signature, photos.measured, reference)
    figures, knn = measured.figures(), None
    if photos.labels is not None:
        knn = accuracy(reference.features, measured.features, photos.labels)
        figures["max_drop"] = knn.drop_points
    stored_count = len(reference.stored().features)
    return ParityReport(
        spec=source.spec,
        weights_sha256=source.model.weights_digest,
        signature=signature,
        limits=limits,
        verdicts=verdicts(limits, figures),
        agreement=measured.agreement,
        batches=measured.batches,
        sizes=measured.sizes,
        class_agreement=measured.class_agreement,
        knn=knn,
        speed=compare_with_pytorch(engine, source.model.engine, signature, photos.measured),
        in_float=converted.in_float,
        quantization=converted.quantization,
        photos=photos.source,
        names=photos.names(stored_count),
        digests=[] if photos.source == SAMPLES else digests(photos.measured[:stored_count]),
        providers=engine.providers,
        machine=machine(),
    )


def describe_failed_limits(report: ParityReport) -> str:
    """Return a description of the limits that were missed."""
    failed = [each for each in report.verdicts if not each.passed]
    text = ", ".join(f"{each.name} is {each.found:.5g}, limit {each.limit:g}" for each in failed)
    float_count = len(report.in_float)
    return text + (f", with {counted(float_count, 'layer')} kept in float" if float_count else "")


def check_destination(folder: Path) -> None:
    """Raise ConfigError if the path exists and is not an exported folder, or has other files that would be lost."""
    if not os.path.lexists(folder):
        return
    if folder.is_dir() and (folder.samefile(Path.cwd()) or folder.resolve() in Path.cwd().parents):
        raise ConfigError(f"{folder} is or contains the current folder and cannot be replaced. Choose another folder.")
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.is_symlink() or not holds_export(folder):
        raise ConfigError(
            f"{folder} exists and is not an exported folder, so it was not changed. Choose another folder."
        )
    if other_files := sorted({entry.name for entry in folder.iterdir()} - {PARITY_REPORT_FILE, *HASHED}):
        raise ConfigError(
            f"{folder} contains {other_files[0]} in addition to an export, so it was not changed. "
            "Move that file, or choose another folder."
        )
