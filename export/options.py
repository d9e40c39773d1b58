"""`ExportOptions`: what is asked of an export."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mvmr_zoo.errors import ConfigError, closest
from mvmr_zoo.models.exported import DTYPES, STAGES, Dtype, Signature, Stage

if TYPE_CHECKING:
    from mvmr_zoo import Model
    from mvmr_zoo.checkpoint import Output

OPSETS = range(18, 24)
"""18 is the first with an antialiased Resize; each was run in ONNX Runtime by the tests."""

SMALLEST_PX = 32
"""A ResNet halves an image five times."""

SizeChoice = int | Literal["dynamic"] | None


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What is asked of an export.

    Args:
        dtype: `fp32`, `fp16` or `int8`.
        stage: how much of the preprocessing goes inside: `none`, `normalize` or `full`.
        size: side of the square the encoder reads, in pixels; None is the model's own, `dynamic` leaves it open.
        batch: images a call; None leaves it open.
        opset: of the ONNX standard.
        unit_norm: scale vectors to unit L2 norm.
        head: put the classifier inside.
        output: `features` or `aligned`, as in `load`. None is the model's default, or features with `head`, which
            reads them.
        dim: number of dimensions of `aligned`, as in `load`.
        device: `cpu` or `cuda`, where the certificate is measured.
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
        """Raise ConfigError for what cannot be exported."""
        for option, value, known in (
            ("--dtype", self.dtype, DTYPES),
            ("--preprocess", self.stage, STAGES),
            ("--device", self.device, ("cpu", "cuda")),
        ):
            if value not in known:
                near = closest(value, known)
                hint = f" Closest: {near[0]}." if near else ""
                raise ConfigError(f"{option} got {value!r}; expected {', '.join(known)}.{hint}")
        if self.head and self.output == "aligned":
            raise ConfigError("--head reads features, but --output is aligned. Omit one of them.")
        if self.opset not in OPSETS:
            raise ConfigError(f"--opset got {self.opset}; expected {OPSETS[0]} to {OPSETS[-1]}.")
        if isinstance(self.size, int) and self.size < SMALLEST_PX:
            raise ConfigError(f"--size got {self.size}; expected at least {SMALLEST_PX} pixels, or dynamic.")
        if self.batch is not None and self.batch < 1:
            raise ConfigError(f"--batch got {self.batch}; expected at least 1, or dynamic.")
        if self.stage == "full" and (self.size == "dynamic" or self.batch is not None):
            raise ConfigError(
                "--preprocess full takes one photo of any size a call and crops it to one size; "
                "it goes with neither --size dynamic nor --batch."
            )


def signature_of(model: Model, options: ExportOptions) -> Signature:
    """What the export of a model reads and answers. Raises ConfigError for a size that no photo can be made to."""
    preprocess = model.preprocess
    if isinstance(options.size, int):
        try:
            preprocess = preprocess.scaled(options.size)
        except ConfigError as error:
            raise ConfigError(f"--size got {options.size}, too large: {error}") from None
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
    """`--size`: pixels, `dynamic`, or nothing. Raises ConfigError."""
    return "dynamic" if text == "dynamic" else _whole("--size", text, "pixels")


def parse_batch(text: str) -> int | None:
    """`--batch`: images a call, or `dynamic`. Raises ConfigError."""
    return None if text == "dynamic" else _whole("--batch", text, "images")


def _whole(option: str, text: str | None, unit: str) -> int | None:
    try:
        return None if text is None else int(text)
    except ValueError:
        raise ConfigError(f"{option} got {text!r}; expected a whole number of {unit}, or dynamic.") from None
