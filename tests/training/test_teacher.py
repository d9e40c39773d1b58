from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from training.cache import CacheConfig
from training.teacher import teacher_rows

import mvmr_zoo
from mvmr_zoo.checkpoint import Checkpoint
from mvmr_zoo.datasets import ImageFolder, image_folder
from mvmr_zoo.embeddings import EmbeddingsFacts, write_embeddings
from mvmr_zoo.errors import DataError

from .small import train, weights


@pytest.fixture
def images(photo_folder: Path) -> ImageFolder:
    return image_folder(photo_folder)


def write(folder: Path, images: ImageFolder, names: list[str], checkpoint: Checkpoint) -> Path:
    """The tiny model's embeddings of some photos, last photo first."""
    vectors = mvmr_zoo.load(checkpoint.folder).embed(images.paths, normalize=False)
    facts = EmbeddingsFacts(model="tiny", weights_digest="", preprocess_digest="", dim=256, normalized=False)
    write_embeddings(folder, [(vectors[: len(names)][::-1], names[::-1])], facts)
    return folder


@pytest.mark.parametrize("absolute", [False, True])
def test_embeddings_made_before_are_matched_by_path(
    absolute: bool, images: ImageFolder, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    names = [f"/elsewhere/{images.describe(i)}" if absolute else images.describe(i) for i in range(12)]
    folder = write(tmp_path / "e", images, names, checkpoint)
    before = teacher_rows(f"embeddings:{folder}", images, tmp_path / "cache", CacheConfig())
    asked = teacher_rows(str(checkpoint.folder), images, tmp_path / "cache", CacheConfig(dtype="float32"))
    np.testing.assert_allclose(before, asked, rtol=2e-3, atol=2e-3)  # they are kept as float16


def test_two_embeddings_of_one_name_or_of_no_number_are_refused(
    images: ImageFolder, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    facts = EmbeddingsFacts(model="tiny", weights_digest="", preprocess_digest="", dim=2, normalized=False)
    names = [f"/data/{part}/{images.describe(i)}" for part in ("train", "val") for i in range(12)]
    write_embeddings(tmp_path / "both", [(np.zeros((24, 2), np.float32), names)], facts)
    with pytest.raises(DataError, match=r"both has two embeddings for a/00\.jpg"):
        teacher_rows(f"embeddings:{tmp_path / 'both'}", images, tmp_path, CacheConfig())
    vectors = np.zeros((12, 2), np.float32)
    vectors[3, 1] = np.nan
    write_embeddings(tmp_path / "nan", [(vectors, names[:12])], facts)
    with pytest.raises(DataError, match=rf"nan: the embedding of {images.describe(3)} is not finite"):
        teacher_rows(f"embeddings:{tmp_path / 'nan'}", images, tmp_path, CacheConfig())


def test_missing_embeddings_are_counted(images: ImageFolder, checkpoint: Checkpoint, tmp_path: Path) -> None:
    folder = write(tmp_path / "e", images, [images.describe(i) for i in range(9)], checkpoint)
    with pytest.raises(DataError, match=r"no embedding for 3 of 12 images of .*, first b/07\.jpg"):
        teacher_rows(f"embeddings:{folder}", images, tmp_path, CacheConfig())


def test_a_live_teacher_teaches_what_a_cached_one_does(
    photo_folder: Path, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    teacher = f"--teacher.spec={checkpoint.folder}"
    assert train("distill", photo_folder, tmp_path / "cached", teacher) == 0
    assert train("distill", photo_folder, tmp_path / "live", teacher, "--teacher.cached=false") == 0
    live = weights(tmp_path / "live")
    for name, expected in weights(tmp_path / "cached").items():
        np.testing.assert_allclose(live[name], expected, atol=2e-3, err_msg=name)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("embeddings:/nowhere", "no embeddings folder"),
        ("timm:resnet10x", "Closest: resnet"),
        ("onnx:" + __file__, "not a sound ONNX file"),
        ("open_clip:ViT-B-32@/nowhere.pt", "/nowhere.pt is not a file"),
        ("resnet50-clip-kd", "its weights are not on this machine"),
        ("onnx:/nowhere.onnx", "/nowhere.onnx is not a file"),
    ],
)
def test_a_teacher_that_is_not_to_be_had_is_one_clear_line(
    spec: str, says: str, photo_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("distill", photo_folder, tmp_path, f"--teacher.spec={spec}") == 2
    error = capsys.readouterr().err
    assert says in error
    assert len(error.splitlines()) == 1


def test_a_teacher_whose_library_is_missing_says_what_to_install(
    photo_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    assert train("distill", photo_folder, tmp_path, "--teacher.spec=timm:resnet10t") == 2
    assert "pip install 'mvmr-zoo[teachers]'" in capsys.readouterr().err


def test_regression_needs_all_embeddings(
    photo_folder: Path, checkpoint: Checkpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = (f"--teacher.spec={checkpoint.folder}", "--teacher.cached=false", "--loss.regression=1")
    assert train("distill", photo_folder, tmp_path, *more) == 2
    assert "expected teacher.cached true, or loss.regression 0" in capsys.readouterr().err
