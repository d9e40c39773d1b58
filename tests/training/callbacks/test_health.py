from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from training.callbacks.health import dependence, spread

from ..small import EVERY_STEP, PIXELS, logged, train


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
    centered = z.numpy() - z.numpy().mean(axis=0)
    singular = np.linalg.svd(centered.astype(np.float64), compute_uv=False)
    share = singular[singular > 1e-9] / singular.sum()
    assert spread(z).rank == pytest.approx(np.exp(-(share * np.log(share)).sum()), rel=1e-3)
    assert spread(z).std == pytest.approx(z.numpy().std(axis=0, ddof=1).mean(), rel=1e-5)


def test_a_constant_batch_has_no_rank() -> None:
    found = spread(torch.full((8, 5), 3.7))
    assert found.rank == 0
    assert found.std == pytest.approx(0, abs=1e-6)


def test_dependence_stands_beside_its_value_under_independence() -> None:
    import dcor  # compiles functions for 7 s

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


def test_collapse_stops_the_run_and_names_the_term(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Views are pulled together and nothing keeps embeddings apart."""
    more = (
        "--representations.terms=[{kind: pixels, weight: 0}]",
        "--loss.invariance=1",
        "--loss.variance=0",
        "--loss.views=0",
        "--optim.peak_lr=0.05",
        "--optim.weight_decay=0",
        "--optim.epochs=40",
        "--student.projector=[32]",
        "--monitor.collapse_rank=6",
        EVERY_STEP,
    )
    assert train("pretrain", photos, tmp_path, *more) == 2
    error = capsys.readouterr().err
    assert "The embeddings collapsed by step" in error
    assert "invariance" in error
    assert "The variance term, which prevents this, has weight 0. Raise loss.variance" in error
    last = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert all(torch.isfinite(tensor).all() for tensor in last["state_dict"].values())


def test_every_n_steps_and_at_both_ends(photos: Path, tmp_path: Path) -> None:
    more = (
        PIXELS,
        "--monitor.every_steps=3",
        "--optim.epochs=4",
        "--monitor.knn_every_epochs=0",
        "--monitor.linear_lr=0",
    )
    assert train("pretrain", photos, tmp_path, *more) == 0
    assert [int(row["step"]) for row in logged(tmp_path)] == [1, 3, 6, 8]
