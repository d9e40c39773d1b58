"""Distillation: the MV-MR loss with the teacher as its representation, and two further terms.

The cosine regression compares each embedding with the teacher's. The similarity term compares their similarities to
a memory bank of past teacher embeddings (Fang et al., SEED, ICLR 2021). Neither is in the paper.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from mvmr_zoo.errors import require
from training.loss_options import Estimator, check_distillation
from training.losses.distance_correlation import full_precision
from training.losses.mvmr import LossTerms, MVMRLoss

TEACHER = "teacher"
"""The name of the teacher's embedding among the representations."""


class DistillationLoss(MVMRLoss):
    """`MVMRLoss` with the teacher's embedding as the only representation, and two further terms.

    Args:
        teacher: Weight of `1 - dCor` between embeddings and the teacher's.
        regression: Weight of `1 - cos` between embeddings and the teacher's centered embeddings. The projector
            must then end in the teacher's dimension T.
        similarity: Weight of the Kullback-Leibler divergence between the teacher's and the student's similarities
            to the memory bank. The projector must end in T here too.
        memory_bank: Number of teacher embeddings of past batches in the memory bank, at least 1.
        temperature: Divides cosine similarities before the softmax.
        teacher_mean: `(T,)`, subtracted from the teacher's embeddings in `regression` and `similarity`. None
            subtracts nothing.
        teacher_dim: Dimension T of the teacher, required if `similarity` is positive.
        invariance: See `MVMRLoss`.
        variance: See `MVMRLoss`.
        views: See `MVMRLoss`.
        estimator: See `MVMRLoss`.
        std_margin: See `MVMRLoss`.

    Raises:
        ConfigError: A weight is negative, or no weight is positive.

    Example:
        >>> import torch
        >>> from training import DistillationLoss
        >>> _ = torch.manual_seed(0)
        >>> loss = DistillationLoss(regression=1.0, invariance=0, variance=0, views=0)
        >>> found = loss(torch.randn(8, 16), None, {"teacher": torch.randn(8, 16)})
        >>> sorted(found.terms)
        ['regression', 'teacher']
    """

    bank: Tensor
    filled: Tensor
    teacher_mean: Tensor | None

    def __init__(
        self,
        *,
        teacher: float = 1.0,
        regression: float = 0.0,
        similarity: float = 0.0,
        memory_bank: int = 4096,
        temperature: float = 0.07,
        teacher_mean: Tensor | None = None,
        teacher_dim: int | None = None,
        invariance: float = 1.0,
        variance: float = 1.0,
        views: float = 1.0,
        estimator: Estimator = "biased",
        std_margin: float = 1.0,
    ) -> None:
        super().__init__(
            {TEACHER: teacher},
            invariance=invariance,
            variance=variance,
            views=views,
            estimator=estimator,
            std_margin=std_margin,
        )
        weights = {
            "invariance": invariance,
            "variance": variance,
            "views": views,
            "teacher": teacher,
            "regression": regression,
            "similarity": similarity,
        }
        check_distillation(weights, std_margin, memory_bank=memory_bank, temperature=temperature)
        self.regression = regression
        self.similarity = similarity
        self.temperature = temperature
        self.register_buffer("teacher_mean", teacher_mean, persistent=False)
        if similarity > 0:
            require(teacher_dim is not None, "teacher_dim", teacher_dim, "the teacher's dimension")
            self.register_buffer("bank", torch.zeros(memory_bank, teacher_dim or 0))
            self.register_buffer("filled", torch.zeros((), dtype=torch.int64))

    def forward(self, z: Tensor, z0: Tensor | None, representations: Mapping[str, Tensor]) -> LossTerms:
        """The loss of one batch; see `MVMRLoss.forward`. In training mode, the batch is added to the memory bank.

        Args:
            z: `(N, P)` embeddings of the augmented view.
            z0: `(N, P)` embeddings of the plain view, or None if no term reads them.
            representations: The teacher's embeddings `(N, T)` under the name `teacher`.
        """
        total, terms = super().forward(z, z0, representations)
        if self.regression == 0 and self.similarity == 0:
            return LossTerms(total, terms)
        target = self.centered(representations[TEACHER])
        if self.regression > 0:
            terms["regression"] = cosine_regression(z, target)
            total = total + self.regression * terms["regression"]
        if self.similarity > 0:
            target = F.normalize(target, dim=1)
            used = self.bank[: int(self.filled)]
            if len(used) >= 2:
                terms["similarity"] = similarity_divergence(z, target, used, self.temperature)
                total = total + self.similarity * terms["similarity"]
            if self.training:
                self._add_to_bank(target.detach())
        return LossTerms(total, terms)

    def centered(self, target: Tensor) -> Tensor:
        """The teacher's embeddings `(N, T)` less their mean, in fp32 or fp64."""
        target = full_precision(target)
        return target if self.teacher_mean is None else target - self.teacher_mean.to(target)

    def _add_to_bank(self, target: Tensor) -> None:
        """Put a batch of unit vectors `(N, T)` in front of the bank and drop the oldest rows."""
        rows = len(self.bank)
        self.bank = torch.cat([target, self.bank])[:rows]
        self.filled = (self.filled + len(target)).clamp_max(rows)


def cosine_regression(z: Tensor, target: Tensor) -> Tensor:
    """The mean over rows of `1 - cos` of `z` and `target`, both `(N, T)`: a scalar in [0, 2]."""
    return 1 - F.cosine_similarity(full_precision(z), full_precision(target), dim=1).mean()


def similarity_divergence(z: Tensor, target: Tensor, bank: Tensor, temperature: float) -> Tensor:
    """KL(teacher || student) of the softmax of cosine similarities to a bank, the mean over rows: a scalar.

    Args:
        z: `(N, T)` student embeddings.
        target: `(N, T)` teacher embeddings.
        bank: `(M, T)` unit vectors, M at least 2.
        temperature: Divides the similarities, positive.
    """
    with torch.autocast(z.device.type, enabled=False):
        student = F.log_softmax(F.normalize(full_precision(z), dim=1) @ bank.T / temperature, dim=1)
        teacher = F.log_softmax(F.normalize(full_precision(target), dim=1) @ bank.T / temperature, dim=1)
        return F.kl_div(student, teacher, reduction="batchmean", log_target=True)
