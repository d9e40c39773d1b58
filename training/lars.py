"""LARS: You, Gitman, Ginsburg, *Large Batch Training of Convolutional Networks*, 2017."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer, ParamsT


class LARS(Optimizer):
    """SGD with momentum whose step of every matrix is scaled by `trust * |w| / |gradient + decay * w|`.

    Vectors (biases, batch norm) take plain momentum steps, as in the self-supervised literature
    (Grill et al., *Bootstrap Your Own Latent*, 2020, appendix).

    Args:
        params: parameters, or groups of them.
        lr: learning rate, positive.
        momentum: in [0, 1).
        weight_decay: L2, at least 0.
        trust: the trust coefficient, positive; 0.001 in the paper.
    """

    def __init__(
        self, params: ParamsT, lr: float, momentum: float = 0.9, weight_decay: float = 0.0, trust: float = 1e-3
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "trust": trust})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update of every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)
        return loss

    def _update(self, parameter: Tensor, group: dict[str, Any]) -> None:
        step = parameter.grad + group["weight_decay"] * parameter
        if parameter.ndim > 1:
            size, change = parameter.norm(), step.norm()
            usable = (size > 0) & (change > 0)
            step = step * torch.where(usable, group["trust"] * size / torch.where(usable, change, 1.0), 1.0)
        velocity = self.state[parameter].setdefault("momentum", torch.zeros_like(parameter))
        velocity.mul_(group["momentum"]).add_(step)
        parameter.add_(velocity, alpha=-group["lr"])
