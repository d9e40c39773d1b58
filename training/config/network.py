"""Options: the student network."""

from __future__ import annotations

from dataclasses import dataclass

from mvmr_zoo.architectures import check_architecture
from mvmr_zoo.errors import require


@dataclass(frozen=True, kw_only=True)
class StudentConfig:
    """The network that is trained.

    Args:
        architecture: `resnet18`, `resnet18-small`, `resnet50`, `resnet50-small`, `resnet8`, `resnet8x4`, or the name of
            a classification network of torchvision or timm, or `effnet-lite:0`, `1` or `2`.
        projector: Widths of the projector's layers. The last is the embedding dimension. The layers are linear without
            bias, with batch norm and ReLU between them. The paper uses 8192, 8192, 8192.
        zero_init_residual: Start every residual branch at zero, in networks whose branches end in a scaling layer.
        start_from: Model spec of a checkpoint of the same architecture. The encoder starts from its weights. So does
            the projector, if the checkpoint has one with the same widths. With the architecture `effnet-lite:0`, the
            spec `effnet-lite:0` starts from its ImageNet weights. None starts from random weights.
        freeze_batch_norm: Keep the batch norm statistics of `start_from` fixed. Scales and shifts are trained. Useful
            in short runs, where re-estimating the statistics would reduce accuracy at first.
        fit_projector: Initialize a one-layer projector by ridge regression from the encoder's features to the teacher's
            embeddings (on the first training images) instead of at random.
    """

    architecture: str = "resnet18"
    projector: tuple[int, ...] = (2048, 1280)
    zero_init_residual: bool = True
    start_from: str | None = None
    freeze_batch_norm: bool = False
    fit_projector: bool = False

    def __post_init__(self) -> None:
        """Raise ConfigError for an unknown architecture, a projector without layers, or options that conflict."""
        check_architecture(self.architecture)
        require(min(self.projector, default=0) >= 1, "student.projector", self.projector, "at least one positive width")
        require(
            not self.freeze_batch_norm or self.start_from is not None,
            "student.freeze_batch_norm",
            self.freeze_batch_norm,
            "false, or a value of student.start_from, whose statistics are used",
        )
        require(
            not self.fit_projector or len(self.projector) == 1,
            "student.fit_projector",
            self.fit_projector,
            "false, or one width in student.projector",
        )
