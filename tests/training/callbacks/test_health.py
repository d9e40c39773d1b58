from __future__ import annotations

import math

import dcor
import numpy as np
import pytest
import torch
from training.monitors.spread import dependence, spread


def test_effective_rank_of_known_spectra() -> None:
    basis = torch.linalg.qr(torch.randn(64, 64, dtype=torch.float64))[0][:, 1:7]
    basis = torch.linalg.qr(basis - basis.mean(dim=0))[0]
    assert spread(basis[:, :1] @ torch.ones(1, 5, dtype=torch.float64)).rank == pytest.approx(1.0, abs=5e-3)
    assert spread(basis).rank == pytest.approx(6.0, abs=1e-3)
    values = np.array([4.0, 2.0, 1.0])
    share = values / values.sum()
    expected = math.exp(-(share * np.log(share)).sum())
    assert spread(basis[:, :3] * torch.from_numpy(values)).rank == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("shape", [(16, 40), (40, 16)])
def test_wide_and_tall_batches_agree_with_numpy(shape: tuple[int, int]) -> None:
    z = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    centred = z.numpy() - z.numpy().mean(axis=0)
    singular = np.linalg.svd(centred.astype(np.float64), compute_uv=False)
    share = singular[singular > 1e-9] / singular.sum()
    assert spread(z).rank == pytest.approx(np.exp(-(share * np.log(share)).sum()), rel=1e-3)
    assert spread(z).std == pytest.approx(z.numpy().std(axis=0, ddof=1).mean(), rel=1e-5)


def test_a_constant_batch_has_no_rank() -> None:
    found = spread(torch.full((8, 5), 3.7))
    assert found.rank == 0
    assert found.std == pytest.approx(0, abs=1e-6)


def test_dependence_stands_beside_its_value_under_independence() -> None:
    generator = torch.Generator().manual_seed(0)
    z, noise = torch.randn(128, 8, generator=generator), torch.randn(128, 400, generator=generator)
    found = dependence(z, {"same": 3 * z, "noise": noise})
    assert found["dcor/same"] == pytest.approx(1.0)
    assert found["dcor_unbiased/same"] == pytest.approx(1.0)
    assert abs(found["dcor_unbiased/noise"]) < 0.05
    shifted = dcor.distance_correlation(z.double().numpy(), noise.roll(1, 0).double().numpy())
    assert found["dcor/noise/independent"] == pytest.approx(shifted, abs=1e-5)
    assert found["dcor/noise"] == pytest.approx(found["dcor/noise/independent"], abs=0.1)
    assert found["dcor/same/independent"] < 0.5
    assert not any(name.startswith("dcor_unbiased") for name in dependence(z[:3], {"same": z[:3]}))
