"""`mvmr-export onnx`: from a spec to an exported folder, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from export.accuracy import accuracy, margin
from export.certificate import Certificate, write_certificate
from export.convert import convert, encoder_graph, finished
from export.limits import Verdict, limits_of, verdicts
from export.measure import measure
from export.photos import SAMPLES, digests, folder_photos, sample_photos
from export.reference import make_reference, write_reference
from export.source import check_size, read_source
from export.speed import beside_pytorch
from mvmr_zoo.atomic import replace_folder, scratch_folder
from mvmr_zoo.errors import ConfigError, LimitError
from mvmr_zoo.evaluate.machine import machine
from mvmr_zoo.exported import MODEL_FILE, Contract, ExportedEngine, is_exported

if TYPE_CHECKING:
    from export.options import ExportOptions
    from mvmr_zoo import Model


@dataclass(frozen=True, kw_only=True)
class Demands:
    """What a certificate is measured on, and must show.

    Args:
        images: folder of photos; None takes the samples.
        labels: whether its subfolders are classes, for k-NN accuracy.
        min_agreement: least fraction of photos with the same nearest neighbour; None is the dtype's.
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
) -> Certificate:
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
    base = Path(folder)
    check_destination(base)
    source = read_source(spec, options.device)
    model, head = source.model, source.head if options.head else None
    contract = _contract(model, options)
    limits = limits_of(contract, labels=demands.labels, min_agreement=demands.min_agreement, max_drop=demands.max_drop)
    check_size(model, contract.preprocess)
    with scratch_folder(base.parent) as scratch:
        work, files = scratch / base.name, scratch / ".files"
        work.mkdir()
        files.mkdir()
        if demands.images is None:
            photos = sample_photos(scratch / ".photos")
        else:
            photos = folder_photos(demands.images, labels=demands.labels)
        say(f"PyTorch reads {len(photos.measured)} {photos.source}")
        reference = make_reference(model, contract, photos.measured, head)
        say(f"{spec} becomes ONNX, {contract.dtype}")
        converted = convert(
            encoder_graph(model.encoder, contract),
            contract,
            photos,
            margin(reference.features, photos.labels, limits),
            files,
        )
        whole = finished(converted, contract, head, model)
        (work / MODEL_FILE).write_bytes(whole.SerializeToString(deterministic=True))
        source.write_config(work)
        write_reference(work, reference.kept())
        say(f"ONNX Runtime reads {len(photos.measured)} {photos.source}")
        engine = ExportedEngine(work, contract, device=options.device)
        measured = measure(replace(model, engine=engine), contract, photos.measured, reference)
        figures = measured.figures()
        knn = None
        if photos.labels is not None:
            knn = accuracy(reference.features, measured.features, photos.labels)
            figures["max_drop"] = knn.drop_points
        kept = len(reference.kept().features)
        certificate = Certificate(
            spec=spec,
            weights_sha256=model.weights_digest,
            contract=contract,
            limits=limits,
            verdicts=verdicts(limits, figures),
            agreement=measured.agreement,
            batches=measured.batches,
            sizes=measured.sizes,
            class_agreement=measured.class_agreement,
            knn=knn,
            speed=beside_pytorch(engine, model.engine, contract, photos.measured),
            in_float=converted.in_float,
            quantization=converted.quantization,
            photos=photos.source,
            names=photos.names(kept),
            digests=[] if photos.source == SAMPLES else digests(photos.measured[:kept]),
            providers=engine.providers,
            machine=machine(),
        )
        if not certificate.passed and not demands.allow_failed:
            raise LimitError(
                f"{base} was not written: {missed(certificate.verdicts)}. "
                "Another --dtype or limit may do; --allow-failed keeps it, marked."
            )
        write_certificate(work, certificate)
        check_destination(base)
        replace_folder(work, base)
    return certificate


def missed(verdicts: list[Verdict]) -> str:
    """The limits that were missed, in words."""
    return ", ".join(f"{each.name} is {each.found:.5g}, limit {each.limit:g}" for each in verdicts if not each.passed)


def check_destination(folder: Path) -> None:
    """Raise ConfigError where something stands that is not an exported folder: it must not be replaced."""
    if os.path.lexists(folder) and not is_exported(folder) and not (folder.is_dir() and not any(folder.iterdir())):
        raise ConfigError(f"{folder} exists and is not an exported folder; it is left as it is. Name another.")


def _contract(model: Model, options: ExportOptions) -> Contract:
    preprocess = model.preprocess
    if isinstance(options.size, int):
        preprocess = preprocess.scaled(options.size)
    return Contract(
        dtype=options.dtype,
        stage=options.stage,
        preprocess=preprocess,
        size_px=None if options.size == "dynamic" else preprocess.crop_px,
        batch=options.batch,
        opset=options.opset,
        unit_norm=options.unit_norm,
        head=options.head,
        embedding_dim=model.card.embedding_dim,
    )
