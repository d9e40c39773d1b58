from __future__ import annotations

import argparse
import dataclasses
import json
import os
import pathlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models import resnet18

import mvmr_zoo
from mvmr_zoo.checkpoint import read_checkpoint
from mvmr_zoo.cli import main
from mvmr_zoo.errors import ConfigError
from mvmr_zoo.inference.engines import TorchEngine
from mvmr_zoo.inference.pipeline import embed
from mvmr_zoo.models.catalog import CATALOG
from mvmr_zoo.models.resolve import find_checkpoint
from mvmr_zoo.models.verify import verify_checkpoint
from mvmr_zoo.models.weight_import import import_weights

from ....command_line import Typist
from ....conftest import shaken, write_photos
from .layouts import PROJECTOR, network, semi_ckpt, semi_pth, ssl_ckpt, ssl_pth, tiny


@pytest.mark.parametrize(
    ("layout", "small_stem"),
    [(ssl_pth, True), (ssl_pth, False), (semi_pth, False), (ssl_ckpt, False), (semi_ckpt, False)],
)
def test_every_layout_of_the_authors(layout: Any, small_stem: bool, zoo: Path, photo_folder: Path) -> None:
    source = tiny(small_stem)
    dim = 512 if small_stem else 256
    head = nn.Linear(dim, 10)
    file = zoo.parent / "weights.ckpt"
    torch.save(layout(source, head), file)
    made = import_weights(file, "mine", preprocess="cifar")
    assert made.checkpoint.config.architecture == ("resnet18-small" if small_stem else "resnet8x4")
    assert made.checkpoint.config.license == "not stated"
    assert ("The teacher's tensors were skipped (1)." in made.notes) == (layout is ssl_ckpt)
    assert ("The projector was skipped." in made.notes) == (layout in (ssl_pth, ssl_ckpt))
    model = mvmr_zoo.load("mine", runtime="torch")
    images = torch.randn(3, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(model.encoder(images), source(images), atol=1e-6, rtol=0)
    photos = sorted(photo_folder.rglob("*.jpg"))
    features = model.embed(photos, normalize=False)
    said = model.classify(photos)
    logits = torch.from_numpy(features) @ head.weight.T.detach() + head.bias.detach()
    np.testing.assert_allclose(said.probabilities, torch.softmax(logits, 1), atol=1e-6)
    assert said.class_names[:2] == ("class 0", "class 1")
    assert said.top(2)[0][0].probability == said.probabilities[0].max()


def test_a_catalog_model_in_the_authors_format(
    zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typist: Typist
) -> None:
    """The embeddings of the imported model equal those of the original network, also in ONNX Runtime.

    The row has a smaller network than that of the authors, with the same layout of its tensors.
    """
    row = dataclasses.replace(CATALOG["resnet50-clip-kd"], architecture="resnet18", embedding_dim=512)
    monkeypatch.setitem(CATALOG, "resnet50-clip-kd", row)
    torch.manual_seed(0)
    source = resnet18()
    source.fc = nn.Identity()
    shaken(source)
    file = zoo.parent / "mvmr_clip.pth"
    head = nn.Linear(512, 1000)
    torch.save(ssl_pth(source, head) | {"online_finetuner": head.state_dict()}, file)
    done = typist(main, "mvmr-zoo", "import", file, "--as", "resnet50-clip-kd")
    assert done.returncode == 0, done.stderr
    assert "resnet18, 512 features, 224 px" in done.stdout
    photos = sorted(write_photos(tmp_path / "photos", 4).rglob("*.jpg"))
    preprocess = CATALOG["resnet50-clip-kd"].preprocess
    expected = embed(TorchEngine(source), preprocess, photos, dim=512, skip=False).vectors
    pytorch, onnx = (mvmr_zoo.load("resnet50-clip-kd", runtime=name) for name in ("torch", "onnx"))
    np.testing.assert_allclose(pytorch.embed(photos), expected, atol=1e-6)
    assert (onnx.embed(photos) * expected).sum(axis=1).min() > 0.99999
    assert pytorch.card.published == CATALOG["resnet50-clip-kd"].published
    assert pytorch.card.location == "zoo"
    assert onnx.classify(photos).class_names[0] == "tench"
    found = verify_checkpoint(find_checkpoint("resnet50-clip-kd"))
    assert min(found.onnx, found.torch or 0, found.agreement or 0) > 0.99999


def test_torchvision_and_timm_state_dicts(zoo: Path) -> None:
    import timm

    torch.manual_seed(0)
    theirs = shaken(timm.create_model("resnet18", num_classes=7))
    save_file(theirs.state_dict(), zoo.parent / "timm.safetensors")
    torch.save(network(classes=1000).state_dict(), zoo.parent / "torchvision.pth")
    images = torch.randn(2, 3, 64, 64)
    import_weights(zoo.parent / "timm.safetensors", "theirs", preprocess="imagenet")
    with torch.inference_mode():
        features = mvmr_zoo.load("theirs").encoder(images)
        torch.testing.assert_close(features, theirs.forward_head(theirs.forward_features(images), pre_logits=True))
    made = import_weights(zoo.parent / "torchvision.pth", "tv", preprocess="imagenet")
    assert made.checkpoint.config.class_names[:2] == ("tench", "goldfish")
    assert made.checkpoint.config.preprocess.crop_px == 224
    assert [card.name for card in mvmr_zoo.list_models() if card.location == "zoo"] == ["theirs", "tv"]
    assert mvmr_zoo.model_info("tv").parameters == 11_176_512


def test_half_precision_is_kept(zoo: Path) -> None:
    source = network().half()
    torch.save(source.state_dict(), zoo.parent / "half.pth")
    made = import_weights(zoo.parent / "half.pth", "half", preprocess="imagenet").checkpoint
    assert {tensor.dtype for tensor in made.weights().values()} == {np.dtype(np.float16)}


def test_a_kept_projector_continues_training(zoo: Path) -> None:
    from training.config import StudentConfig
    from training.student import make_projector

    torch.save(ssl_pth(network(), nn.Linear(512, 10)), zoo.parent / "a.pth")
    made = import_weights(zoo.parent / "a.pth", "kept", preprocess="cifar", keep_projector=True)
    assert made.notes == ["The classifier has 10 classes.", "The class names are not in the file."]
    kept = make_projector(StudentConfig(architecture="resnet18", projector=(16, 16), start_from="kept"), 512)
    torch.testing.assert_close(kept.state_dict()["3.weight"], PROJECTOR["3.weight"])
    other = make_projector(StudentConfig(architecture="resnet18", projector=(16, 8), start_from="kept"), 512)
    assert other.state_dict()["3.weight"].shape == (8, 16)


def test_a_classifier_of_several_layers_is_skipped(zoo: Path) -> None:
    deep = nn.Sequential(nn.Linear(512, 8), nn.Linear(8, 2))
    torch.save(semi_pth(network(), deep), zoo.parent / "a.pth")
    made = import_weights(zoo.parent / "a.pth", "mlp", preprocess="cifar")
    assert made.notes == ["The classifier is not a single linear layer on the features, and was skipped."]
    with pytest.raises(ConfigError, match="mlp has no classifier, only features"):
        mvmr_zoo.load("mlp").classify([])


def test_preprocessing_from_a_file(zoo: Path) -> None:
    torch.save(network().state_dict(), zoo.parent / "a.pth")
    own = zoo.parent / "own.json"
    own.write_text(json.dumps({"resize_px": 64, "crop_px": 48}))
    assert import_weights(zoo.parent / "a.pth", "own", preprocess=str(own)).checkpoint.config.preprocess.crop_px == 48
    own.write_text(json.dumps({"crop_px": 48}))
    with pytest.raises(ConfigError, match=r"own\.json: the field 'resize_px' is missing from preprocess"):
        import_weights(zoo.parent / "a.pth", "two", preprocess=str(own))


def test_parameters_and_classifiers_without_bias(zoo: Path, tmp_path: Path) -> None:
    source, weight = network(), nn.Parameter(torch.randn(3, 512))
    values = {**dict(source.named_parameters()), **dict(source.named_buffers())}
    file = tmp_path / os.fsdecode(b"odd\xff.pth")
    torch.save({"encoder": values, "classifier": {"weight": weight}}, file)
    made = import_weights(file, "mine", preprocess="cifar").checkpoint
    head = made.head
    assert head is not None
    np.testing.assert_array_equal(head.weight, weight.detach().numpy())
    assert (head.bias == 0).all()
    assert r"odd\xff.pth" in made.config.source


def test_options_that_lightning_writes(zoo: Path, tmp_path: Path) -> None:
    import collections

    from pytorch_lightning.utilities.parsing import AttributeDict

    options = {
        "config": AttributeDict(lr=AttributeDict(base=0.1)), "seen": collections.defaultdict(list, a=[1]),
        "best": np.float64(0.5), "args": argparse.Namespace(out=pathlib.PosixPath("runs")),
    }  # fmt: skip
    content = semi_ckpt(network(), nn.Linear(512, 3)) | {"hyper_parameters": options}
    torch.save(content, tmp_path / "run.ckpt")
    made = import_weights(tmp_path / "run.ckpt", "run", preprocess="cifar").checkpoint
    assert made.config.class_names == ("class 0", "class 1", "class 2")


def test_voc07_scores_each_class_independently(zoo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = dataclasses.replace(CATALOG["resnet50-voc07"], architecture="resnet18", embedding_dim=512)
    monkeypatch.setitem(CATALOG, "resnet50-voc07", row)
    head = nn.Linear(512, 20)
    torch.save(semi_pth(network(), head), zoo.parent / "a.pth")
    made = import_weights(zoo.parent / "a.pth", "resnet50-voc07")
    assert made.checkpoint.config.scores == "sigmoid"
    assert read_checkpoint(made.checkpoint.folder).config.class_names[-1] == "tvmonitor"
    model, photo = mvmr_zoo.load("resnet50-voc07"), np.zeros((300, 300, 3), np.uint8)
    logits = head.weight.detach().numpy() @ model.embed(photo, normalize=False)[0] + head.bias.detach().numpy()
    np.testing.assert_allclose(model.classify(photo).probabilities[0], 1 / (1 + np.exp(-logits)), atol=1e-6)
