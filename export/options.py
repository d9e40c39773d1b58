"""Options of an export."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mvmr_zoo.errors import ConfigError, closest
from mvmr_zoo.models.exported import DTYPES, STAGES, Dtype, Signature, Stage

if TYPE_CHECKING:
    from mvmr_zoo import Model
    from mvmr_zoo.checkpoint import Output

OPSETS = range(18, 24)
"""Supported opsets. 18 is the first one with an antialiased Resize. The tests run each one with ONNX Runtime."""

MIN_SIZE_PX = 32
"""A ResNet halves the image size five times."""

SizeChoice = int | Literal["dynamic"] | None


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Options of an export.

    Args:
        dtype: `fp32`, `fp16` or `int8`.
        stage: Preprocessing included in the graph: `none`, `normalize` or `full`.
        size: Side of the square input image in pixels. None uses the model's own size; `dynamic` allows any size.
        batch: Images per call; None allows any batch size.
        opset: ONNX opset.
        unit_norm: Scale vectors to unit L2 norm.
        head: Include the classifier.
        output: `features` or `aligned`, as in `load`. None selects the model's default, or `features` with `head`,
            because the classifier reads features.
        dim: Number of dimensions of `aligned`, as in `load`.
        device: Device on which the parity report is measured, `cpu` or `cuda`.
    """

    dtype: Dtype = "fp32"
    stage: Stage = "none"
    size: SizeChoice = None
    batch: int | None = None
    opset: int = 20
    unit_norm: bool = False
    head: bool = False
    output: Output | None = None
    dim: int | None = None
    device: Literal["cpu", "cuda"] = "cpu"

    def __post_init__(self) -> None:
        """Raise ConfigError if an option is invalid or options exclude each other."""
        for option, value, choices in (
            ("--dtype", self.dtype, DTYPES),
            ("--preprocess", self.stage, STAGES),
            ("--device", self.device, ("cpu", "cuda")),
        ):
            if value not in choices:
                near = closest(value, choices)
                hint = f" Closest: {near[0]}." if near else ""
                raise ConfigError(f"{option} is {value!r}; expected {', '.join(choices)}.{hint}")
        if self.head and self.output == "aligned":
            raise ConfigError("--head needs features, but --output is aligned. Omit one of them.")
        if self.opset not in OPSETS:
            raise ConfigError(f"--opset is {self.opset}; expected {OPSETS[0]} to {OPSETS[-1]}.")
        if isinstance(self.size, int) and self.size < MIN_SIZE_PX:
            raise ConfigError(f"--size is {self.size}; expected at least {MIN_SIZE_PX} pixels, or dynamic.")
        if self.batch is not None and self.batch < 1:
            raise ConfigError(f"--batch is {self.batch}; expected at least 1, or dynamic.")
        if self.stage == "full" and (self.size == "dynamic" or self.batch is not None):
            raise ConfigError(
                "--preprocess full takes one photo per call and crops it to a fixed size. "
                "It cannot be combined with --size dynamic or --batch."
            )


def signature_of(model: Model, options: ExportOptions) -> Signature:
    """Return the signature of a model's export. Raises ConfigError if the size is too large."""
    preprocess = model.preprocess
    if isinstance(options.size, int):
        try:
            preprocess = preprocess.scaled(options.size)
        except ConfigError as error:
            raise ConfigError(f"--size is {options.size}, which is too large: {error}") from None
    return Signature(
        dtype=options.dtype,
        stage=options.stage,
        preprocess=preprocess,
        size_px=None if options.size == "dynamic" else preprocess.crop_px,
        batch=options.batch,
        opset=options.opset,
        unit_norm=options.unit_norm,
        head=options.head,
        embedding_dim=model.dim,
        output=model.output,
    )


def parse_size(text: str | None) -> SizeChoice:
    """Parse `--size`: a number of pixels, `dynamic` or None. Raises ConfigError for other values."""
    return "dynamic" if text == "dynamic" else _parse_int("--size", text, "pixels")


def parse_batch(text: str) -> int | None:
    """Parse `--batch`: a number of images or `dynamic`. Raises ConfigError for other values."""
    return None if text == "dynamic" else _parse_int("--batch", text, "images")


def _parse_int(option: str, text: str | None, unit: str) -> int | None:
    try:
        return None if text is None else int(text)
    except ValueError:
        raise ConfigError(f"{option} is {text!r}; expected a whole number of {unit}, or dynamic.") from None
