"""`ModelCard`, the description of one model, and its parts. It needs no PyTorch and reads no files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Self, get_args

from mvmr_zoo.errors import ConfigError
from mvmr_zoo.images import Preprocess

Task = Literal["pretraining", "distillation", "semi-supervised", "linear classification", ""]
Location = Literal["package", "zoo", "hub", "path", "elsewhere"]

Output = Literal["features", "aligned"]
"""`features` is the pooled output of the backbone. `aligned` is a linear map of `features` for retrieval."""

OUTPUTS: tuple[Output, ...] = get_args(Output)

LICENSE_NOT_STATED = "not stated"

_OLD_VERSION = re.compile(r"(?<![\w-])(knn|linear|linear-sgd|semi|voc07|retrieval)@1(?!\d)")
_VERSIONED_FIGURE = re.compile(r"([^/]+/[\w-]+)-v\d+(?![\w-])")


def current_name(name: str) -> str:
    """The current name of a protocol or figure. Older reports and checkpoint folders have `knn@1` for `knn-v1`."""
    return _OLD_VERSION.sub(r"\1-v1", name)


def data_and_protocol(name: str) -> str:
    """`stl10/knn` for the figure `stl10/knn-v1/k=5`. A name without a version is unchanged."""
    match = _VERSIONED_FIGURE.match(name)
    return match[1] if match else name


def output_dims(embedding_dim: int, aligned_dim: int) -> dict[Output, int]:
    """The length of each output of an encoder. An `aligned_dim` of 0 means that there is no output `aligned`."""
    outputs: dict[Output, int] = {"features": embedding_dim}
    if aligned_dim:
        outputs["aligned"] = aligned_dim
    return outputs


def asked_dim(output: Output, dim: int) -> int | None:
    """The argument `dim` of `load` that gives vectors of this output and length. It is None for features."""
    return dim if output == "aligned" else None


def output_in_words(output: Output, dim: int) -> str:
    """A readable description of an output: `features`, or `aligned, 128 dimensions`."""
    return output if output == "features" else f"{output}, {dim} dimensions"


def is_licensed(license: str) -> bool:
    """Whether the text names a license."""
    return " ".join(license.split()).casefold() not in ("", LICENSE_NOT_STATED, "unknown", "none")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A published or measured value of a metric.

    Args:
        value: Value as a fraction in [0, 1].
        source: Source of the value: a publication, or a report file of this project.
        low: Lower bound of the 95% confidence interval. None if it is not known.
        high: Upper bound of the 95% confidence interval. None if it is not known.
        images: Number of images in the measurement. None if it is not known.
    """

    value: float
    source: str = ""
    low: float | None = None
    high: float | None = None
    images: int | None = None

    def __post_init__(self) -> None:
        """Raise ConfigError if a field is not valid."""
        for name in ("value", "low", "high"):
            number = getattr(self, name)
            missing = number is None and name != "value"
            if not missing and (not isinstance(number, (int, float)) or not 0 <= number <= 1):
                raise ConfigError(f"figure {name} is {number!r}; expected a fraction in [0, 1].")
        if self.interval is not None and not self.interval[0] <= self.value <= self.interval[1]:
            raise ConfigError(f"figure value is {self.value}; expected a value in its interval {self.interval}.")
        if self.images is not None and not (isinstance(self.images, int) and self.images > 0):
            raise ConfigError(f"figure images is {self.images!r}; expected a positive integer.")
        if not isinstance(self.source, str):
            raise ConfigError(f"figure source is {self.source!r}; expected text.")

    @classmethod
    def from_json(cls, values: Any) -> Self:
        """Read a figure from a fraction or from a dictionary of its fields. Raises ConfigError for anything else."""
        if isinstance(values, (int, float)):
            return cls(value=values)
        known = [each.name for each in fields(cls)]
        if not isinstance(values, dict) or "value" not in values or not values.keys() <= set(known):
            raise ConfigError(f"figure is {values!r}; expected a fraction, or the fields {', '.join(known)}.")
        return cls(**values)

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95% confidence interval, or None if it is not known."""
        return None if self.low is None or self.high is None else (self.low, self.high)

    def __str__(self) -> str:
        interval = "" if self.interval is None else " [{:.1f}, {:.1f}]".format(*(100 * end for end in self.interval))
        return f"{round(100 * self.value, 2):g} %{interval}"


@dataclass(frozen=True, kw_only=True)
class Pin:
    """The only accepted checkpoint folder of a model on the Hub.

    Args:
        repo: Repository as `org/name`.
        revision: Commit as 40 hexadecimal digits.
        sha256: SHA-256 of the folder's `config.json`, which contains the hashes of every file except README.md.
    """

    repo: str
    revision: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """The description of one model.

    Args:
        name: Name to pass to `load`.
        summary: Description of one line, for tables.
        architecture: Architecture name of `Encoder`, or the name in the library of an external encoder.
        embedding_dim: Length D of a feature vector.
        aligned_dim: Length A of an aligned vector. 0 if there is no output `aligned`.
        default_output: Output that `load` uses by default.
        preprocess: Preprocessing of photos.
        license: License of the weights, or `not stated`.
        origin: Origin of the weights: an address, or a description of how they were made.
        task: Type of training. Empty if it is not known.
        data: Names of the data sets that the model was trained on.
        parameters: Number of parameters of the encoder. 0 if it is not known.
        macs: Multiply-accumulates of one image, in convolutions and linear layers. 0 if the number is not known.
        location: `package` for a model in the wheel, `zoo` for one that was imported, `hub`, `path` for a folder given
            by path, or `elsewhere` for a model that is not on this machine.
        pin: Folder of the model on the Hub. Any other folder of this name is refused.
        published: Figures that the authors published, by protocol.
        measured: Figures in the checkpoint folder, by protocol.
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
        """Side in pixels of the square image that the encoder reads."""
        return self.preprocess.crop_px

    def figure(self, name: str) -> Figure | None:
        """The measured figure of a protocol, otherwise the published one, otherwise None.

        Args:
            name: Data set and protocol, for example `stl10/linear`. The version of the protocol is optional, as in
                `imagenette/knn-v1`.
        """
        name = current_name(name)
        for figures in (self.measured, self.published):
            for known, value in figures.items():
                if name in (known, data_and_protocol(known)):
                    return value
        return None
