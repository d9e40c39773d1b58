"""`mvmr-export onnx`: from a spec to an exported folder, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from export.accuracy import accuracy, margin
from export.convert import Converted, convert, encoder_graph, finished
from export.limits import Limits, limits_of, verdicts
from export.measure import measure
from export.options import ExportOptions, signature_of
from export.parity_report import ParityReport, write_parity_report
from export.photos import SAMPLES, Photos, digests, folder_photos, sample_photos
from export.reference import Reference, make_reference, write_reference
from export.source import Source, check_size, read_source
from export.speed import beside_pytorch
from mvmr_zoo._io import replace_folder, scratch_folder
from mvmr_zoo.errors import ConfigError, LimitError
from mvmr_zoo.evaluate import machine
from mvmr_zoo.models.exported import CERTIFICATE_FILE, HASHED, MODEL_FILE, ExportedEngine, Signature, holds_export

if TYPE_CHECKING:
    from mvmr_zoo.checkpoint import Head


@dataclass(frozen=True, kw_only=True)
class Demands:
    """What a certificate is measured on, and must show.

    Args:
        images: folder of photos; None takes the samples.
        labels: whether its subfolders are classes, for k-NN accuracy.
        min_agreement: least fraction of photos with the same nearest neighbor; None is the dtype's.
        max_drop: most points of k-NN accuracy lost; None is the dtype's.
        allow_failed: keep an export that misses a limit, marked.
    """

    images: Path | None = None
    labels: bool = False
    min_agreement: float | None = None
    max_drop: float | None = None
    allow_failed: bool = False

    def __post_init__(self) -> None:
        """Raise ConfigError where classes are asked of the samples."""
        if self.labels and self.images is None:
            raise ConfigError("--labels needs --images: a folder with one subfolder a class, 2,000 photos at least.")


def export_onnx(
    spec: str,
    folder: str | os.PathLike[str],
    options: ExportOptions,
    demands: Demands,
    *,
    say: Callable[[str], object] = lambda _: None,
) -> ParityReport:
    """Write the exported folder of a model, with its certificate; an exported folder that stands there is replaced.

    Args:
        spec: as `mvmr_zoo.load` takes it.
        folder: where to.
        options: what to write.
        demands: what it must show.
        say: told what is being done.

    Raises:
        LimitError: a limit was missed, and nothing was written.
        ConfigError: an option is wrong, or something else stands there.
        MvmrError: the model or the photos cannot be used.
    """
    base = Path(folder).absolute()
    check_destination(base)
    output = "features" if options.head else options.output
    source = read_source(spec, options.device, output=output, dim=options.dim)
    contract = signature_of(source.model, options)
    limits = limits_of(contract, labels=demands.labels, min_agreement=demands.min_agreement, max_drop=demands.max_drop)
    check_size(source.model, contract.preprocess)
    head = source.head if contract.head else None
    with scratch_folder(base.parent) as scratch:
        if demands.images is None:
            photos = sample_photos(scratch / ".photos")
        else:
            photos = folder_photos(demands.images, labels=demands.labels)
        say(f"PyTorch reads {len(photos.measured)} {photos.source}")
        reference = make_reference(source.model, contract, photos.measured, head)
        say(f"{spec} becomes ONNX, {contract.dtype}")
        work, files = scratch / base.name, scratch / ".files"
        files.mkdir()
        kept = margin(reference.features, photos.labels, limits)
        converted = convert(encoder_graph(source.network, contract), contract, photos, kept, files)
        _write_files(work, source, converted, contract, head, reference)
        say(f"ONNX Runtime reads {len(photos.measured)} {photos.source}")
        certificate = _certified(work, source, converted, contract, limits, photos, reference)
        if not certificate.passed and not demands.allow_failed:
            raise LimitError(f"{base} was not written: {missed(certificate)}. --allow-failed keeps it, marked.")
        write_parity_report(work, certificate)
        check_destination(base)
        replace_folder(work, base)
    return certificate


def _write_files(
    work: Path, source: Source, converted: Converted, contract: Signature, head: Head | None, reference: Reference
) -> None:
    """Every file of the folder but its certificate."""
    work.mkdir()
    whole = finished(converted, contract, head, source.model)
    (work / MODEL_FILE).write_bytes(whole.SerializeToString(deterministic=True))
    source.write_config(work)
    write_reference(work, reference.kept())


def _certified(
    work: Path,
    source: Source,
    converted: Converted,
    contract: Signature,
    limits: Limits,
    photos: Photos,
    reference: Reference,
) -> ParityReport:
    """What a written folder shows."""
    engine = ExportedEngine(work, contract, device=source.model.engine.device)
    measured = measure(replace(source.model, engine=engine), contract, photos.measured, reference)
    figures, knn = measured.figures(), None
    if photos.labels is not None:
        knn = accuracy(reference.features, measured.features, photos.labels)
        figures["max_drop"] = knn.drop_points
    kept = len(reference.kept().features)
    return ParityReport(
        spec=source.spec,
        weights_sha256=source.model.weights_digest,
        contract=contract,
        limits=limits,
        verdicts=verdicts(limits, figures),
        agreement=measured.agreement,
        batches=measured.batches,
        sizes=measured.sizes,
        class_agreement=measured.class_agreement,
        knn=knn,
        speed=beside_pytorch(engine, source.model.engine, contract, photos.measured),
        in_float=converted.in_float,
        quantization=converted.quantization,
        photos=photos.source,
        names=photos.names(kept),
        digests=[] if photos.source == SAMPLES else digests(photos.measured[:kept]),
        providers=engine.providers,
        machine=machine(),
    )


def missed(certificate: ParityReport) -> str:
    """The limits that were missed, in words."""
    failed = [each for each in certificate.verdicts if not each.passed]
    said = ", ".join(f"{each.name} is {each.found:.5g}, limit {each.limit:g}" for each in failed)
    floats = len(certificate.in_float)
    return said + (f", with {floats} layers kept in float" if floats else "")


def check_destination(folder: Path) -> None:
    """Raise ConfigError where something stands that is not an exported folder and no more: it must not be replaced."""
    if not os.path.lexists(folder):
        return
    if folder.is_dir() and (folder.samefile(Path.cwd()) or folder.resolve() in Path.cwd().parents):
        raise ConfigError(f"{folder} is the folder you are in, or holds it; it cannot be replaced. Name another.")
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.is_symlink() or not holds_export(folder):
        raise ConfigError(f"{folder} exists and is not an exported folder; it is left as it is. Name another.")
    if more := sorted({entry.name for entry in folder.iterdir()} - {CERTIFICATE_FILE, *HASHED}):
        raise ConfigError(
            f"{folder} holds {more[0]} beside an export; it is left as it is. Move that, or name another."
        )
