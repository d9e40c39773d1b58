"""What a certificate must show, by dtype."""

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
    """The least, or for a drop the most, that each figure of a certificate may be.

    Args:
        cosine_min: of any photo's vector to PyTorch's.
        cosine_mean: over photos.
        top1_agreement: fraction of photos with the same nearest other photo; None where a drop is limited instead.
        class_agreement: fraction of photos with the same most likely class.
        batch_cosine: of a photo's vector in any batch size to its own in another.
        size_cosine: mean cosine to PyTorch at any image size.
        max_drop: points (hundredths) of k-NN accuracy lost; None where there are no labels.
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
    contract: Signature, *, labels: bool, min_agreement: float | None = None, max_drop: float | None = None
) -> Limits:
    """The limits of an export.

    With the resize inside, pixels may differ by one step from Pillow's, and a scaled JPEG decode is not compared:
    the mean cosine to the Python path must be 0.999.

    Args:
        contract: what it reads and answers.
        labels: whether k-NN accuracy is measured.
        min_agreement: in place of the dtype's `top1_agreement`. In int8 with labels there is none unless given:
            the drop is limited instead.
        max_drop: in place of the dtype's.

    Raises:
        ConfigError: a limit out of range, or a drop without labels.
    """
    if min_agreement is not None and not 0 <= min_agreement <= 1:
        raise ConfigError(f"--min-agreement got {min_agreement}; expected a fraction from 0 to 1.")
    if max_drop is not None and not (labels and 0 <= max_drop <= 100):
        raise ConfigError(f"--max-drop got {max_drop}; expected points from 0 to 100, together with --labels.")
    limits = LIMITS[contract.dtype]
    if contract.stage == "full":
        limits = replace(
            limits,
            cosine_min=min(limits.cosine_min, 0.98),
            cosine_mean=min(limits.cosine_mean, 0.999),
            top1_agreement=0.95,
            class_agreement=0.95,
        )
    if labels and contract.dtype == "int8":
        limits = replace(limits, top1_agreement=None)
    if min_agreement is not None:
        limits = replace(limits, top1_agreement=min_agreement)
    if labels:
        limits = replace(limits, max_drop=MAX_DROP[contract.dtype] if max_drop is None else max_drop)
    return limits


@dataclass(frozen=True)
class Verdict:
    """One limit and what was found.

    Args:
        name: of the figure.
        limit: the least it may be; for a drop, the most.
        found: what it is.
        passed: whether it keeps the limit.
    """

    name: str
    limit: float
    found: float
    passed: bool


def verdicts(limits: Limits, found: Mapping[str, float]) -> list[Verdict]:
    """Every limit beside the figure of its name; figures that were not measured have no verdict."""
    said = []
    for name, value in found.items():
        limit = getattr(limits, name)
        if limit is not None:
            said.append(Verdict(name, limit, value, value <= limit if name == "max_drop" else value >= limit))
    return said


def parse_limits(values: Mapping[str, object]) -> Limits:
    """Limits as `export.json` holds them. Raises ConfigError for unknown, missing or wrong ones."""
    names = {field.name for field in fields(Limits)}
    if wrong := sorted(names ^ values.keys()):
        raise ConfigError(f"limits lacks or does not know {wrong[0]}.")
    for name, value in values.items():
        open_ = value is None and name in ("top1_agreement", "max_drop")
        if not open_ and not (isinstance(value, int | float) and math.isfinite(value)):
            raise ConfigError(f"limits: {name} is {value!r}, expected a number.")
    return Limits(**values)  # type: ignore[arg-type]  # just checked
