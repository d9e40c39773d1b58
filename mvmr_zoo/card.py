"""`ModelCard` and what it is made of: what is known of one model. No torch, no files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from mvmr_zoo.preprocess import Preprocess

Task = Literal["pretraining", "distillation", "semi-supervised", "linear classification", ""]
Location = Literal["package", "zoo", "hub", "elsewhere"]

LICENSE_NOT_STATED = "not stated"


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

    def __str__(self) -> str:
        interval = f" [{100 * self.low:.1f}, {100 * self.high:.1f}]" if self.low is not None and self.high else ""
        return f"{round(100 * self.value, 2):g} %{interval}"


@dataclass(frozen=True, kw_only=True)
class Pin:
    """One checkpoint folder on the Hub, and nothing else.

    Args:
        repo: `org/name`.
        revision: the commit, 40 hexadecimal digits.
        sha256: of the folder's `config.json`, which holds the hashes of every other file.
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
        architecture: a name in `encoder.BACKBONES`, or the foreign library's own.
        embedding_dim: D, the length of a feature vector.
        preprocess: how photos become arrays.
        license: the weights' licence, or `not stated`.
        origin: where the weights come from: an address, or what made them.
        task: how it was trained; empty where not known.
        data: it was trained on, as data sets are named here.
        parameters: of the encoder; 0 where not known.
        macs: multiply-accumulates of one image, convolutions and linear layers; 0 where not known.
        location: `package` (the wheel carries it), `zoo` (imported on this machine), `hub`, or `elsewhere`.
        pin: its folder on the Hub; with one, anything else of this name is refused.
        published: figures its authors state.
        measured: figures this project measured, by protocol.
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

    @property
    def input_px(self) -> int:
        """Side of the square image the encoder reads."""
        return self.preprocess.crop_px

    @property
    def bundled(self) -> bool:
        """Whether the wheel carries the weights."""
        return self.location == "package"

    def figure(self, name: str) -> Figure | None:
        """The figure of a name such as `stl10/linear`: the measured one, or else the published one.

        A protocol's version (`imagenette/knn@1`) need not be given.
        """
        for figures in (self.measured, self.published):
            for known, value in figures.items():
                if name in (known, known.partition("@")[0]):
                    return value
        return None
