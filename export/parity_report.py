"""The parity report `export.json`: signature, agreement with PyTorch, limits and speed of an exported folder."""

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
from mvmr_zoo.models.exported import HASHED, MODEL_FILE, PARITY_REPORT_FILE, SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from export.accuracy import Accuracy
    from export.agreement import Agreement
    from export.speed import Speed
    from mvmr_zoo.models.exported import Signature


@dataclass(frozen=True, kw_only=True)
class ParityReport:
    """Contents of `export.json`, except the hashes of the files.

    Args:
        spec: Spec of the exported model.
        weights_sha256: SHA-256 of the weights of the source encoder.
        signature: Inputs and outputs of `model.onnx`.
        limits: Limits of the export.
        verdicts: Result for each limit.
        agreement: Agreement of the features with PyTorch.
        batches: Lowest cosine similarity between vectors of a photo computed with different batch sizes, by batch size.
        sizes: Mean cosine similarity to PyTorch at other image sizes, by the side in pixels.
        class_agreement: Fraction of photos with the same most likely class as in PyTorch; None without a classifier.
        knn: K-NN accuracy of the PyTorch and the exported features; None without labels.
        speed: Speed of `onnx` and `pytorch`, by batch size. If the graph preprocesses photos, the time of `pytorch`
            includes the preprocessing in Python.
        in_float: Names of the layers that fp16 or int8 conversion left in fp32.
        quantization: Quantization settings; None unless the dtype is int8.
        photos: Origin of the photos.
        names: Paths of the photos in `reference.safetensors`, in the same order, relative to their folder.
        digests: SHA-256 of each photo. Empty for the bundled sample photos, which are generated again for each check.
        providers: Execution providers of ONNX Runtime.
        machine: Processor, operating system and library versions.
    """

    spec: str
    weights_sha256: str
    signature: Signature
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
        """Whether every limit is met."""
        return all(verdict.passed for verdict in self.verdicts)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values. The key of the signature is `contract`, as in `export.json`."""
        return {"contract" if name == "signature" else name: value for name, value in asdict(self).items()}


def write_parity_report(folder: Path, report: ParityReport) -> None:
    """Write `export.json` with the report and the hashes of the other files of the folder."""
    values = {
        "schema_version": SCHEMA_VERSION,
        "passed": report.passed,
        **report.to_dict(),
        "contract": report.signature.to_dict(),
        "file_bytes": (folder / MODEL_FILE).stat().st_size,
        "sha256": {name: file_digest(folder / name) for name in HASHED},
    }
    values |= {name: values.pop(name) for name in ("names", "digests")}  # long lists go last
    write_whole(folder / PARITY_REPORT_FILE, to_json(values, indent=2) + "\n")


def to_json(values: Any, *, indent: int | None = None) -> str:
    """Serialize plain values as JSON. Numbers that are not finite become null, because JSON cannot represent them."""
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
class ReportInputs:
    """Fields of an `export.json` that are needed to repeat its measurements.

    Args:
        limits: Limits of the export.
        photos: Origin of the photos.
        names: Paths of the photos, relative to their folder.
        digests: SHA-256 of each photo; empty for the sample photos.
    """

    limits: Limits
    photos: str
    names: list[str]
    digests: list[str]


def read_report_inputs(folder: Path, values: Mapping[str, Any]) -> ReportInputs:
    """Read the fields needed to repeat a report. Raises CheckpointError if a field is missing or invalid."""
    path = folder / PARITY_REPORT_FILE
    limits, photos, names, digests = (values.get(name) for name in ("limits", "photos", "names", "digests"))
    if not (isinstance(limits, dict) and isinstance(photos, str) and _is_str_list(names) and _is_str_list(digests)):
        raise CheckpointError(f"{path}: limits, photos, names or digests is missing or of the wrong type.")
    if len(digests) != (0 if photos == SAMPLES else len(names)):
        raise CheckpointError(f"{path}: has {len(digests)} digests for {len(names)} photos.")
    if outside := [name for name in names if Path(name).is_absolute() or ".." in Path(name).parts]:
        raise CheckpointError(f"{path}: the photo {outside[0]!r} is outside the photo folder.")
    try:
        return ReportInputs(parse_limits(limits), photos, names, digests)
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error}") from None


def _is_str_list(values: Any) -> TypeGuard[list[str]]:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)
