from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import mvmr_zoo
from mvmr_zoo.datasets import image_folder
from mvmr_zoo.errors import ConfigError
from mvmr_zoo.evaluate import Options, evaluate, evaluate_all
from mvmr_zoo.evaluate.cache import cached_features, images_digest

from ...conftest import write_photos
from ...exported_folders import ExportedFolders


@pytest.mark.parametrize("kind", ["fp32", "full", "sizes"])
def test_the_center_is_what_embed_gives(kind: str, exports: ExportedFolders, tmp_path: Path, zoo: Path) -> None:
    """Also for a graph that crops photos itself: it must not receive a crop, which it would crop again."""
    model, images = mvmr_zoo.load(exports(kind)), image_folder(write_photos(tmp_path / "photos", 6))
    found = cached_features(model, images, images_digest(images))
    np.testing.assert_array_equal(found, model.embed(images.paths, normalize=False))


def test_a_graph_that_crops_photos_itself_has_no_other_crops(
    exports: ExportedFolders, tmp_path: Path, zoo: Path
) -> None:
    write_photos(tmp_path / "data" / "train", 12)
    write_photos(tmp_path / "data" / "val", 8)
    spec, data = str(exports("full")), f"folder:{tmp_path / 'data'}"
    with pytest.raises(
        ConfigError, match=r"linear-sgd-v1 cannot be used with tiny-onnx-fp32 because its graph crops photos"
    ):
        evaluate("linear-sgd", spec, data)
    with pytest.raises(
        ConfigError, match=r"tiny-onnx-fp32 crops photos itself, so it cannot be evaluated on other crops\."
    ):
        evaluate("linear", spec, data, options=Options(ten_crop=True))
    assert [name for name, _ in evaluate_all(spec, data)] == ["knn", "linear", "retrieval"]
