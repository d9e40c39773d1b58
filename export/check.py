"""`mvmr-export check`: a certificate repeated, with ONNX Runtime alone."""

from __future__ import annotations

import functools
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import mvmr_zoo
from export.inputs import inputs
from export.limits import Verdict, verdicts
from export.measure import Measured, measure
from export.parity_report import Claims, read_claims
from export.photos import MEASURED, SAMPLES, sample_photos
from export.reference import read_reference
from export.speed import Speed, calls_of, several, speeds
from mvmr_zoo.checkpoint import check_digest
from mvmr_zoo.errors import CheckpointError, DataError
from mvmr_zoo.models.exported import Exported, read_exported

if TYPE_CHECKING:
    from typing import Literal


@dataclass(frozen=True)
class Checked:
    """What a certificate says, found again.

    Args:
        verdicts: each limit that can be repeated beside what was found here.
        measured: the figures.
        speed: of this machine, by batch size.
        certified: whether the certificate itself was passed, k-NN accuracy included, which is not repeated.
    """

    verdicts: list[Verdict]
    measured: Measured
    speed: dict[int, Speed]
    certified: bool

    @property
    def passed(self) -> bool:
        """Whether every limit was kept, here and when the certificate was made."""
        return self.certified and all(verdict.passed for verdict in self.verdicts)


def check(
    folder: str | os.PathLike[str], *, images: Path | None = None, device: Literal["cpu", "cuda"] = "cpu"
) -> Checked:
    """Repeat the certificate of an exported folder against PyTorch's answers, which the folder holds.

    Args:
        folder: as `mvmr-export onnx` wrote it.
        images: the folder of photos it was measured on; None where those were the samples.
        device: `cpu` or `cuda`.

    Raises:
        CheckpointError: a file was altered, or a photo is missing or not the one that was measured.
        DataError: the photos are not given.
        MissingDependencyError: the samples are asked for, and their libraries are not installed.
    """
    exported = read_exported(folder)
    claims = read_claims(exported.folder, exported.certificate)
    reference = read_reference(exported.folder, exported.contract)
    if len(claims.names) != len(reference.features) or len(claims.names) < MEASURED:
        raise CheckpointError(
            f"{exported.folder}: the certificate names {len(claims.names)} photos, and there are answers to "
            f"{len(reference.features)}; expected as many, and {MEASURED} at least."
        )
    model = mvmr_zoo.load(f"local-dir:{exported.folder}", device=device)
    with tempfile.TemporaryDirectory(prefix="mvmr-export-") as scratch:
        root = _photos(exported, claims, images, Path(scratch))
        photos = [root / name for name in claims.names]
        measured = measure(model, exported.contract, photos, reference)
        speed = {}
        for batch, calls in calls_of(exported.contract).items():
            run = functools.partial(model.engine, inputs(exported.contract, several(photos, batch)))
            speed[batch] = speeds({"onnx": run}, batch=batch, calls=calls)["onnx"]
    return Checked(verdicts(claims.limits, measured.figures()), measured, speed, exported.passed)


def _photos(exported: Exported, claims: Claims, images: Path | None, scratch: Path) -> Path:
    """The folder that the certificate's photos lie below, each of them found right."""
    if claims.photos == SAMPLES:
        return sample_photos(scratch).root
    if images is None:
        raise DataError(f"{exported.folder} was measured on {claims.photos}. Give their folder as --images.")
    if not images.is_dir():
        raise DataError(f"{images} is not a folder. Expected the {claims.photos} of {exported.folder}.")
    for name, digest in zip(claims.names, claims.digests, strict=True):
        check_digest(images / name, digest, said_by="export.json says", advice="It is not the photo that was measured.")
    return images
