"""`export.json`: what an exported folder reads and answers, what was lost, how fast it is."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from export.limits import Limits, Verdict, parse_limits
from export.photos import SAMPLES
from mvmr_zoo._io import write_whole
from mvmr_zoo.checkpoint import file_digest
from mvmr_zoo.errors import CheckpointError, ConfigError
from mvmr_zoo.models.exported import CERTIFICATE_FILE, HASHED, MODEL_FILE, SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from export.accuracy import Accuracy
    from export.agreement import Agreement
    from export.speed import Speed
    from mvmr_zoo.models.exported import Signature


@dataclass(frozen=True, kw_only=True)
class ParityReport:
    """What `export.json` holds beside hashes.

    Args:
        spec: what was exported.
        weights_sha256: of the encoder it was made from.
        contract: what `model.onnx` reads and answers.
        limits: that were asked for.
        verdicts: each limit beside what was found.
        agreement: of the features with PyTorch's.
        batches: lowest cosine of a photo's vector to its own in other company, by batch size.
        sizes: mean cosine to PyTorch at other image sizes, by the side in pixels.
        class_agreement: fraction of photos with PyTorch's most likely class; None without a classifier.
        knn: k-NN accuracy of PyTorch's features and of the export's, as fractions; None without labels.
        speed: by batch size, of `onnx` and `pytorch`; with preprocessing inside, Python's is counted for PyTorch.
        in_float: layers that fp16 or int8 left in fp32.
        quantization: how int8 was calibrated; None otherwise.
        photos: where they come from.
        names: of the photos in `reference.safetensors`, in its order, below their folder.
        digests: SHA-256 of each; empty for the bundled samples, which are made anew.
        providers: execution providers of ONNX Runtime.
        machine: processor, system, versions.
    """

    spec: str
    weights_sha256: str
    contract: Signature
    limits: Limits
    verdicts: list[Verdict]
    agreement: Agreement
    batches: Mapping[int, float]
    sizes: Mapping[int, float]
    class_agreement: float | None
    knn: Accuracy | None
    speed: Mapping[int, Mapping[str, Speed]]
    in_float: list[str]
    quantization: Mapping[str, Any] | None
    photos: str
    names: list[str]
    digests: list[str]
    providers: list[str]
    machine: Mapping[str, str]

    @property
    def passed(self) -> bool:
        """Whether every limit was kept."""
        return all(verdict.passed for verdict in self.verdicts)


def write_parity_report(folder: Path, certificate: ParityReport) -> None:
    """Write `export.json` beside the other files, whose hashes it takes."""
    values = {
        "schema_version": SCHEMA_VERSION,
        "passed": certificate.passed,
        **asdict(certificate),
        "contract": certificate.contract.to_dict(),
        "file_bytes": (folder / MODEL_FILE).stat().st_size,
        "sha256": {name: file_digest(folder / name) for name in HASHED},
    }
    values |= {name: values.pop(name) for name in ("names", "digests")}  # the long lists last
    write_whole(folder / CERTIFICATE_FILE, to_json(values, indent=2) + "\n")


def to_json(values: Any, *, indent: int | None = None) -> str:
    """JSON of plain values; numbers that are not finite, which JSON lacks, become null."""
    return json.dumps(_finite(values), indent=indent, allow_nan=False)


def _finite(values: Any) -> Any:
    match values:
        case dict():
            return {key: _finite(value) for key, value in values.items()}
        case list() | tuple():
            return [_finite(value) for value in values]
        case float():
            return values if math.isfinite(values) else None
        case _:
            return values


@dataclass(frozen=True)
class Claims:
    """What a certificate claims that can be repeated without PyTorch.

    Args:
        limits: to keep.
        photos: where they come from.
        names: of the photos, below their folder.
        digests: SHA-256 of each, or none.
    """

    limits: Limits
    photos: str
    names: list[str]
    digests: list[str]


def read_claims(folder: Path, values: Mapping[str, Any]) -> Claims:
    """The claims in an `export.json`. Raises CheckpointError where a field is missing or wrong."""
    path = folder / CERTIFICATE_FILE
    limits, photos, names, digests = (values.get(name) for name in ("limits", "photos", "names", "digests"))
    if not (isinstance(limits, dict) and isinstance(photos, str) and _is_texts(names) and _is_texts(digests)):
        raise CheckpointError(f"{path}: limits, photos, names or digests is missing or of the wrong type.")
    if len(digests) != (0 if photos == SAMPLES else len(names)):
        raise CheckpointError(f"{path}: has {len(digests)} digests of {len(names)} photos.")
    if outside := [name for name in names if Path(name).is_absolute() or ".." in Path(name).parts]:
        raise CheckpointError(f"{path}: names the photo {outside[0]!r}, which is not below a folder.")
    try:
        return Claims(parse_limits(limits), photos, names, digests)
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error}") from None


def _is_texts(values: Any) -> TypeGuard[list[str]]:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)
