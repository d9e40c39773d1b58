"""Training encoders by MV-MR, from Python and from the command line.

    from training import MVMRLoss
    loss = MVMRLoss({"hog": 1.0})
    found = loss(z, z0, {"hog": hog(images)})     # found.total, found.terms

The commands are `python -m training.pretrain`, `training.distill`, `training.finetune` and `training.push`.

losses          MVMRLoss, DistillationLoss, distance correlation
targets         the targets of the losses: fixed representations, a teacher's embeddings
data            augmentation, data set, sampler, subsets
config          every option, as frozen dataclasses; recipes/ contains YAML files of them
runs            pretrain, distill and finetune as functions
module          the LightningModules
trainer         from a configuration to a trained module
callbacks       measurements and progress
checkpointing   last.ckpt
finish          writes the finished checkpoint folder
cli             the shared command line

Importing the package imports no submodule until a name is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mvmr_zoo._io import lazy_import

if TYPE_CHECKING:
    from training.config import DistillConfig, FinetuneConfig, PretrainConfig
    from training.losses import DistillationLoss, LossTerms, MVMRLoss, distance_correlation, distance_covariance
    from training.runs import distill, finetune, pretrain
    from training.targets.representations import Hog, LocalDeviation, Pixels, Scattering

_MODULES = {
    "DistillConfig": "config",
    "DistillationLoss": "losses",
    "FinetuneConfig": "config",
    "Hog": "targets.representations",
    "LocalDeviation": "targets.representations",
    "LossTerms": "losses",
    "MVMRLoss": "losses",
    "Pixels": "targets.representations",
    "PretrainConfig": "config",
    "Scattering": "targets.representations",
    "distance_correlation": "losses",
    "distance_covariance": "losses",
    "distill": "runs",
    "finetune": "runs",
    "pretrain": "runs",
}

__all__ = [
    "DistillConfig",
    "DistillationLoss",
    "FinetuneConfig",
    "Hog",
    "LocalDeviation",
    "LossTerms",
    "MVMRLoss",
    "Pixels",
    "PretrainConfig",
    "Scattering",
    "distance_correlation",
    "distance_covariance",
    "distill",
    "finetune",
    "pretrain",
]


__getattr__ = lazy_import(__name__, {name: f"training.{module}" for name, module in _MODULES.items()})


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
