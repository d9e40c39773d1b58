"""Options: what embeddings are made dependent on. The mathematics is in `training.loss`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from training.cache import CacheConfig
from training.loss import VIEWS, Sign
from training.require import require

AUGMENTED_PIXELS = "augmented_pixels"
"""The representation that is no function of the plain view: pixels of another augmented view."""


@dataclass(frozen=True, kw_only=True)
class RepresentationConfig:
    """One fixed representation.

    Args:
        kind: `pixels`, `augmented_pixels`, `scattering`, `hog`, `local_deviation`, `dct`, or the import
            path of a class of your own, `package.module:Name`.
        weight: of `1 - dCor` between embeddings and it, at least 0.
        options: its own parameters, as `{scales: 2, orientations: 8}`.
    """

    kind: str
    weight: float = 1.0
    options: Mapping[str, int | float | str | bool | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise ConfigError for a weight below 0, or options where there are none."""
        require(0 <= self.weight < math.inf, f"weight of representation {self.kind}", self.weight, "at least 0")
        require(self.kind != VIEWS, "kind of a representation", self.kind, "another name: this one is taken")
        if self.kind == AUGMENTED_PIXELS:
            require(not self.options, f"options of representation {self.kind}", self.options, "none")


PAPER_REPRESENTATIONS = tuple(
    RepresentationConfig(kind=kind) for kind in ("pixels", "scattering", "hog", "local_deviation", AUGMENTED_PIXELS)
)


@dataclass(frozen=True, kw_only=True)
class RepresentationsConfig:
    """All of them.

    Args:
        terms: which, each once; the paper's five by default.
        sign: `paper` maximises the dependence, `released` minimises it, as the authors' released code does.
        px: side of the plain view they are computed from; None is the largest of `views.sizes`.
        cached: compute them once and keep them on disk, rather than in every step.
        cache: how they are kept.
    """

    terms: tuple[RepresentationConfig, ...] = PAPER_REPRESENTATIONS
    sign: Sign = "paper"
    px: int | None = None
    cached: bool = False
    cache: CacheConfig = field(default_factory=CacheConfig)

    def __post_init__(self) -> None:
        """Raise ConfigError for a representation given twice, or a size that cannot be."""
        kinds = [term.kind for term in self.terms]
        require(len(set(kinds)) == len(kinds), "representations.terms", kinds, "each kind once")
        require(self.px is None or self.px >= 8, "representations.px", self.px, "at least 8")


@dataclass(frozen=True, kw_only=True)
class TeacherConfig:
    """Whom a student learns from.

    Args:
        spec: any model spec, as `open_clip:ViT-B-16/laion400m_e32` or `effnet-lite:0`, or
            `embeddings:FOLDER` with vectors computed before.
        cached: ask it once about every photo and keep the answers, rather than in every step.
        cache: how they are kept.
    """

    spec: str = "effnet-lite:0"
    cached: bool = True
    cache: CacheConfig = field(default_factory=lambda: CacheConfig(dtype="float32"))
