"""Limits that a parity report must meet, by dtype."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from mvmr_zoo.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mvmr_zoo.models.exported import Dtype, Signature


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of a parity report. All are minimums except `max_drop`.

    Args:
        cosine_min: Lowest cosine similarity of a vector to the PyTorch vector.
        cosine_mean: Mean cosine similarity over photos.
        top1_agreement: Fraction of photos with the same nearest neighbor; None if `max_drop` is limited instead.
        class_agreement: Fraction of photos with the same most likely class.
        batch_cosine: Lowest cosine similarity between vectors of a photo computed with different batch sizes.
        size_cosine: Lowest mean cosine similarity to PyTorch at any image size.
        max_drop: Maximum drop of k-NN accuracy in percentage points; None without labels.
    """

    cosine_min: float
    cosine_mean: float
    top1_agreement: float | None
    class_agreement: float
    batch_cosine: float = 0.9999
    size_cosine: float
    max_drop: float | None = None


LIMITS: dict[Dtype, Limits] = {
    "fp32": Limits(
        cosine_min=0.9999, cosine_mean=0.99999, top1_agreement=0.99, class_agreement=0.99, size_cosine=0.9999
    ),
    "fp16": Limits(cosine_min=0.999, cosine_mean=0.9999, top1_agreement=0.98, class_agreement=0.98, size_cosine=0.999),
    "int8": Limits(cosine_min=0.9, cosine_mean=0.98, top1_agreement=0.95, class_agreement=0.95, size_cosine=0.95),
}

MAX_DROP: dict[Dtype, float] = {"fp32": 0.1, "fp16": 0.1, "int8": 0.5}


def limits_of(
    signature: Signature, *, labels: bool, min_agreement: float | None = None, max_drop: float | None = None
) -> Limits:
    """Return the limits of an export.

    If the graph resizes, pixels may differ from Pillow by one gray level, and the graph reads photos at full size while
    Python may decode a JPEG at a reduced size. The mean cosine similarity to the Python path must then be 0.999.

    Args:
        signature: Signature of the export.
        labels: Whether k-NN accuracy is measured.
        min_agreement: Overrides the `top1_agreement` of the dtype. The default for int8 with labels is None, because
            `max_drop` is limited instead.
        max_drop: Overrides the `max_drop` of the dtype.

    Raises:
        ConfigError: A limit is out of range, or `max_drop` is given without labels.
    """
    if min_agreement is not None and not 0 <= min_agreement <= 1:
        raise ConfigError(f"--min-agreement is {min_agreement}; expected a fraction from 0 to 1.")
    if max_drop is not None and not (labels and 0 <= max_drop <= 100):
        raise ConfigError(f"--max-drop is {max_drop}; expected percentage points from 0 to 100, and --labels.")
    limits = LIMITS[signature.dtype]
    if signature.stage == "full":
        limits = replace(
            limits,
            cosine_min=min(limits.cosine_min, 0.98),
            cosine_mean=min(limits.cosine_mean, 0.999),
            top1_agreement=0.95,
            class_agreement=0.95,
        )
    if labels and signature.dtype == "int8":
        limits = replace(limits, top1_agreement=None)
    if min_agreement is not None:
        limits = replace(limits, top1_agreement=min_agreement)
    if labels:
        limits = replace(limits, max_drop=MAX_DROP[signature.dtype] if max_drop is None else max_drop)
    return limits


@dataclass(frozen=True)
class Verdict:
    """Result for one limit.

    Args:
        name: Name of the measured value, as in `Limits`.
        limit: Minimum, or maximum for `max_drop`.
        found: Measured value.
        passed: Whether the value meets the limit.
    """

    name: str
    limit: float
    found: float
    passed: bool


def verdicts(limits: Limits, measured: Mapping[str, float]) -> list[Verdict]:
    """Compare measured values with the limits of the same names. Values without a limit are skipped."""
    results = []
    for name, value in measured.items():
        limit = getattr(limits, name)
        if limit is not None:
            results.append(Verdict(name, limit, value, value <= limit if name == "max_drop" else value >= limit))
    return results


def parse_limits(values: Mapping[str, object]) -> Limits:
    """Parse the limits of an `export.json`.

    Raises:
        ConfigError: A limit is unknown, missing or not a number.
    """
    names = {field.name for field in fields(Limits)}
    if wrong := sorted(names ^ values.keys()):
        problem = "unknown" if wrong[0] in values else "missing"
        raise ConfigError(f"limits: {wrong[0]} is {problem}.")
    for name, value in values.items():
        optional = value is None and name in ("top1_agreement", "max_drop")
        if not optional and not (isinstance(value, int | float) and math.isfinite(value)):
            raise ConfigError(f"limits: {name} is {value!r}, expected a number.")
    return Limits(**values)  # type: ignore[arg-type]  # validated above
