"""Options: the targets and the loss."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from mvmr_zoo.errors import require
from training.loss_options import Estimator, Sign, check_distillation, check_weights

PRECOMPUTED = "embeddings:"
"""The kind of a teacher spec that names an embeddings folder."""

AUGMENTED_PIXELS = "augmented_pixels"
"""The pixels of a second augmented view. All other representations are functions of the plain view."""


@dataclass(frozen=True, kw_only=True)
class CacheConfig:
    """How rows are stored.

    Args:
        dtype: Number format on disk, `float16` or `float32`.
    """

    dtype: Literal["float16", "float32"] = "float16"


@dataclass(frozen=True, kw_only=True)
class RepresentationConfig:
    """One fixed representation.

    Args:
        kind: `pixels`, `augmented_pixels`, `scattering`, `hog`, `local_deviation`, or the import
            path of your own class, `package.module:Name`.
        weight: Weight of `1 - dCor` between the embeddings and the representation, at least 0.
        options: The class's parameters, for example `{scales: 2, orientations: 8}`.
    """

    kind: str
    weight: float = 1.0
    options: Mapping[str, int | float | str | bool | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise ConfigError for a weight out of range, or for options of `augmented_pixels`, which has none."""
        name = f"weight of representation {self.kind}"
        require(0 <= self.weight < math.inf, name, self.weight, "at least 0")
        if self.kind == AUGMENTED_PIXELS:
            require(not self.options, f"options of representation {self.kind}", self.options, "none")


PAPER_REPRESENTATIONS = tuple(
    RepresentationConfig(kind=kind) for kind in ("pixels", "scattering", "hog", "local_deviation", AUGMENTED_PIXELS)
)


@dataclass(frozen=True, kw_only=True)
class RepresentationsConfig:
    """All fixed representations.

    Args:
        terms: The representations, each at most once. The default is the paper's five.
        sign: `paper` maximizes the dependence, `released` minimizes it, as the authors' released code does.
        px: Side, in pixels, of the plain view from which representations are computed. None uses the largest of
            `views.sizes`.
        cached: Compute the representations once and store them on disk. Otherwise every step computes them.
        cache: Storage of cached representations.
    """

    terms: tuple[RepresentationConfig, ...] = PAPER_REPRESENTATIONS
    sign: Sign = "paper"
    px: int | None = None
    cached: bool = False
    cache: CacheConfig = field(default_factory=CacheConfig)

    def __post_init__(self) -> None:
        """Raise ConfigError for a repeated representation or a size out of range."""
        kinds = [term.kind for term in self.terms]
        require(len(set(kinds)) == len(kinds), "representations.terms", kinds, "each kind once")
        require(self.px is None or self.px >= 8, "representations.px", self.px, "at least 8")


@dataclass(frozen=True, kw_only=True)
class TeacherConfig:
    """The teacher, or several teachers whose embeddings are concatenated.

    Args:
        spec: Any model spec, such as `open_clip:ViT-B-16/laion400m_e32` or `effnet-lite:0`, or
            `embeddings:FOLDER` with precomputed vectors. A list names several teachers and requires
            `dim`.
        view: With `plain`, the teacher receives the whole photo. With `same`, it receives the crop and flip (and
            mixup) of the student's view, without the color changes.
        px: Side, in pixels, of the images that the teacher receives. None uses the size of the teacher's own
            preprocessing. Must be None with several teachers.
        dim: Number of principal components of the embeddings to use as targets; see `training.targets.fit_space`.
            None uses the embeddings themselves.
        whitening: Whitening exponent in [0, 1]. 0 keeps the standard deviations of the components, 1 makes them equal.
            Requires `dim`.
        cached: Compute the embeddings once and store them on disk. Otherwise every step computes them. With
            `view: same`, this requires `views.k`.
        cache: Storage of cached embeddings.
    """

    spec: str | tuple[str, ...] = "effnet-lite:0"
    view: Literal["plain", "same"] = "plain"
    px: int | None = None
    dim: int | None = None
    whitening: float = 0.0
    cached: bool = True
    cache: CacheConfig = field(default_factory=lambda: CacheConfig(dtype="float32"))

    def __post_init__(self) -> None:
        """Raise ConfigError for values out of range, or options that conflict."""
        require(len(self.specs) >= 1, "teacher.spec", self.spec, "at least one teacher")
        several = len(self.specs) > 1
        require(self.px is None or self.px >= 8, "teacher.px", self.px, "at least 8")
        require(self.px is None or not several, "teacher.px", self.px, "no value with several teachers")
        require(self.dim is None or self.dim >= 1, "teacher.dim", self.dim, "at least 1")
        require(self.dim is not None or not several, "teacher.dim", self.dim, "a number with several teachers")
        require(0 <= self.whitening <= 1, "teacher.whitening", self.whitening, "an exponent in [0, 1]")
        projected = self.dim is not None or self.whitening == 0
        require(projected, "teacher.whitening", self.whitening, "0, or a value of teacher.dim")

    @property
    def specs(self) -> tuple[str, ...]:
        """`spec` as a tuple."""
        return (self.spec,) if isinstance(self.spec, str) else tuple(self.spec)

    @property
    def precomputed(self) -> bool:
        """Whether an embeddings folder is among the teachers."""
        return any(spec.startswith(PRECOMPUTED) for spec in self.specs)


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """The terms of pretraining, beside the representations; see `training.MVMRLoss`.

    Args:
        invariance: Weight of the mean squared error between the two views' embeddings.
        variance: Weight of the hinge on the standard deviation of every embedding dimension.
        views: Weight of `1 - dCor` between the two views' embeddings.
        estimator: Estimator of the distance correlation, `biased` or `unbiased`.
        std_margin: Standard deviation below which the hinge is positive.
    """

    invariance: float = 1.0
    variance: float = 1.0
    views: float = 1.0
    estimator: Estimator = "biased"
    std_margin: float = 1.0

    def __post_init__(self) -> None:
        """Raise ConfigError for values that the loss rejects, before its targets are computed."""
        check_weights(self.weights, self.std_margin)

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each term by name."""
        return {"invariance": self.invariance, "variance": self.variance, "views": self.views}


@dataclass(frozen=True, kw_only=True)
class DistillLossConfig(LossConfig):
    """The terms of distillation; see `LossConfig` and `training.DistillationLoss`.

    Args:
        teacher: Weight of `1 - dCor` between the student's and the teacher's embeddings.
        regression: Weight of `1 - cos` between embeddings and the teacher's centered embeddings. This requires a
            projector that ends in the teacher's dimension. Not in the paper.
        similarity: Weight of the divergence between the teacher's and the student's similarities to past teacher
            embeddings. This also requires a projector that ends in the teacher's dimension. Not in the paper.
        memory_bank: Number of past teacher embeddings in the memory bank of the similarity term.
        temperature: Softmax temperature of the similarity term.
    """

    teacher: float = 1.0
    regression: float = 0.0
    similarity: float = 0.0
    memory_bank: int = 4096
    temperature: float = 0.07

    def __post_init__(self) -> None:
        """Raise ConfigError for values that the loss rejects, or without a positive weight."""
        check_distillation(self.weights, self.std_margin, memory_bank=self.memory_bank, temperature=self.temperature)

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each term by name."""
        more = {"teacher": self.teacher, "regression": self.regression, "similarity": self.similarity}
        return super().weights | more

    @property
    def follows_teacher(self) -> bool:
        """Whether embeddings are compared with the teacher's directly, in its own space."""
        return self.regression > 0 or self.similarity > 0
