"""`ModelCard` and what it is made of: what is known of one model. No torch, no files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Self, get_args

from mvmr_zoo.errors import ConfigError
from mvmr_zoo.images import Preprocess

Task = Literal["pretraining", "distillation", "semi-supervised", "linear classification", ""]
Location = Literal["package", "zoo", "hub", "path", "elsewhere"]

Output = Literal["features", "aligned"]
"""`features` are the backbone's pooled output; `aligned` is their projection into the teacher's space."""

OUTPUTS: tuple[Output, ...] = get_args(Output)

LICENSE_NOT_STATED = "not stated"


def output_dims(embedding_dim: int, aligned_dim: int) -> dict[Output, int]:
    """The length of each output of an encoder. An `aligned_dim` of 0 means that it has no output `aligned`."""
    outputs: dict[Output, int] = {"features": embedding_dim}
    if aligned_dim:
        outputs["aligned"] = aligned_dim
    return outputs


def asked_dim(output: Output, dim: int) -> int | None:
    """The argument `dim` with which `load` gives vectors of this output and length. It is None for features."""
    return dim if output == "aligned" else None


def output_in_words(output: Output, dim: int) -> str:
    """A readable description of vectors: `features`, or `aligned, 128 numbers`."""
    return output if output == "features" else f"{output}, {dim} numbers"


def is_licensed(license: str) -> bool:
    """Whether a license is stated at all."""
    return " ".join(license.split()).casefold() not in ("", LICENSE_NOT_STATED, "unknown", "none")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure of merit.

    Args:
        value: a fraction in [0, 1].
        source: where it stands: a publication, or a report file of this project.
        low: lower end of its 95 % interval; None where none is known.
        high: upper end.
        images: it was taken over; None where not known.
    """

    value: float
    source: str = ""
    low: float | None = None
    high: float | None = None
    images: int | None = None

    def __post_init__(self) -> None:
        """Raise ConfigError for values that are no fractions."""
        for name in ("value", "low", "high"):
            number = getattr(self, name)
            absent = number is None and name != "value"
            if not absent and (not isinstance(number, (int, float)) or not 0 <= number <= 1):
                raise ConfigError(f"a figure has {name} {number!r}; expected a fraction in [0, 1].")
        if self.interval is not None and not self.interval[0] <= self.value <= self.interval[1]:
            raise ConfigError(f"a figure is {self.value}, outside of its interval {self.interval}.")
        if self.images is not None and not (isinstance(self.images, int) and self.images > 0):
            raise ConfigError(f"a figure has images {self.images!r}; expected a whole number above 0.")
        if not isinstance(self.source, str):
            raise ConfigError(f"a figure has source {self.source!r}; expected text.")

    @classmethod
    def from_json(cls, values: Any) -> Self:
        """A bare fraction, or the fields of a figure. Raises ConfigError for anything else."""
        if isinstance(values, (int, float)):
            return cls(value=values)
        known = [each.name for each in fields(cls)]
        if not isinstance(values, dict) or "value" not in values or not values.keys() <= set(known):
            raise ConfigError(f"a figure is {values!r}; expected a fraction, or the fields {', '.join(known)}.")
        return cls(**values)

    @property
    def interval(self) -> tuple[float, float] | None:
        """Its 95 % interval, where one is known."""
        return None if self.low is None or self.high is None else (self.low, self.high)

    def __str__(self) -> str:
        interval = "" if self.interval is None else " [{:.1f}, {:.1f}]".format(*(100 * end for end in self.interval))
        return f"{round(100 * self.value, 2):g} %{interval}"


@dataclass(frozen=True, kw_only=True)
class Pin:
    """One checkpoint folder on the Hub, and nothing else.

    Args:
        repo: `org/name`.
        revision: the commit, 40 hexadecimal digits.
        sha256: of the folder's `config.json`, which holds the hashes of every file but README.md.
    """

    repo: str
    revision: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What is known of one model.

    Args:
        name: what `load` is given.
        summary: one line for a table.
        architecture: as `encoder.Encoder` takes it, or the foreign library's own name.
        embedding_dim: D, the length of a feature vector.
        aligned_dim: length A of an aligned vector; 0 if there is no such output.
        default_output: the output that `load` gives by default.
        preprocess: how photos become arrays.
        license: the weights' license, or `not stated`.
        origin: where the weights come from: an address, or what made them.
        task: how it was trained; empty where not known.
        data: it was trained on, as data sets are named here.
        parameters: of the encoder; 0 where not known.
        macs: multiply-accumulates of one image, convolutions and linear layers; 0 where not known.
        location: `package` (the wheel carries it), `zoo` (imported on this machine), `hub`, `path`
            (a folder somebody named), or `elsewhere`: not on this machine.
        pin: its folder on the Hub; with one, anything else of this name is refused.
        published: figures its authors state.
        measured: figures that stand in its folder, by protocol.
    """

    name: str
    summary: str
    architecture: str
    embedding_dim: int
    preprocess: Preprocess
    license: str
    origin: str
    task: Task = ""
    data: tuple[str, ...] = ()
    parameters: int = 0
    macs: int = 0
    location: Location = "elsewhere"
    pin: Pin | None = None
    published: Mapping[str, Figure] = field(default_factory=dict)
    measured: Mapping[str, Figure] = field(default_factory=dict)
    aligned_dim: int = 0
    default_output: Output = "features"

    @property
    def outputs(self) -> dict[Output, int]:
        """The length of each output."""
        return output_dims(self.embedding_dim, self.aligned_dim)

    @property
    def input_px(self) -> int:
        """Side of the square image the encoder reads."""
        return self.preprocess.crop_px

    def figure(self, name: str) -> Figure | None:
        """The figure of a name such as `stl10/linear`: the measured one, or else the published one.

        A protocol's version (`imagenette/knn@1`) need not be given.
        """
        for figures in (self.measured, self.published):
            for known, value in figures.items():
                if name in (known, known.partition("@")[0]):
                    return value
        return None
