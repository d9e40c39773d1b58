from __future__ import annotations

import pytest

from export.bench import EAGER, bench
from mvmr_zoo.errors import ConfigError

from ..exported_folders import ExportedFolders


def test_bench_reports_speed_and_agreement_of_each_engine(
    exports: ExportedFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("export.speed.WARM_S", 0.01)
    monkeypatch.setattr("export.bench._MATRIX_SIDE", 256)
    lines: list[str] = []
    result = bench(exports.spec, batch=4, images=exports.photos, progress=lines.append)
    rows = {row.engine: row for row in result.rows}
    assert set(rows) == {
        EAGER,
        "PyTorch channels-last",
        "PyTorch compiled",
        "ONNX Runtime fp32",
        "ONNX Runtime fp16",
        "ONNX Runtime int8",
    }
    assert rows[EAGER].times_eager == 1
    for row in rows.values():
        if row.note:
            assert row.engine == "PyTorch compiled"  # without a C++ compiler
            continue
        assert row.times_eager == pytest.approx(row.images_per_s / rows[EAGER].images_per_s)
        rate = max(result.gemm_gflop_per_s.values())
        assert row.peak_share == pytest.approx(row.images_per_s * result.gflop / rate)
        assert row.cosine_mean > 0.98
    assert rows["ONNX Runtime fp32"].top1_agreement == 1
    assert (result.px, result.batch) == (32, 4)
    assert len(lines) == len(rows) + 1


def test_bench_rejects_batch_0(exports: ExportedFolders) -> None:
    with pytest.raises(ConfigError, match="--batch is 0"):
        bench(exports.spec, batch=0)
