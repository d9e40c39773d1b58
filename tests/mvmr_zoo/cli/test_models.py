"""The commands of the zoo. Each runs in a process of its own, except for the errors after the first."""

from __future__ import annotations

import functools
import json
import shutil
from pathlib import Path

import pytest
import torch
from torchvision.models import resnet18

from mvmr_zoo.checkpoint import Checkpoint
from mvmr_zoo.cli import main

from ...command_line import Typed, Typist, refused, run
from ...conftest import shaken


def test_models_and_info(tmp_path: Path) -> None:
    table = run("models", home=tmp_path).stdout.splitlines()
    assert table[0].split()[:3] == ["name", "where", "dim"]
    assert table[1].startswith("effnet-lite1-whitened")
    assert any(line.startswith("resnet50-stl10") and line.endswith("stl10/linear 89.7 % published") for line in table)
    cards = json.loads(
        run("models", "--data", "stl10", "--min-metric", "stl10/linear=0.9", "--json", home=tmp_path).stdout
    )
    assert [card["name"] for card in cards] == ["resnet50-clip-kd-stl10"]
    assert cards[0]["published"]["stl10/linear"]["value"] == 0.956
    shown = run("info", "resnet50-clip-kd", home=tmp_path).stdout
    for fact in ("23,508,032", "4,087,136,256", "not stated", "published     imagenet/linear 75.3 % (Kinakh"):
        assert fact in shown
    assert json.loads(run("info", "resnet50-voc07", "--json", home=tmp_path).stdout)["input_px"] == 300


def test_the_table_fits_100_columns_and_has_one_figure_a_model(zoo: Path, typist: Typist) -> None:
    *table, footer = typist(main, "mvmr-zoo", "models").stdout.splitlines()
    assert max(map(len, table)) <= 100
    assert all(line.count("%") <= 1 for line in table)
    assert "…" not in "".join(table)
    assert footer.startswith("New photo libraries use effnet-lite1-whitened")


def test_a_wildcard_chooses_models(zoo: Path, typist: Typist) -> None:
    def names(*words: str) -> list[str]:
        return [card["name"] for card in json.loads(typist(main, "mvmr-zoo", "models", *words, "--json").stdout)]

    assert names("effnet*") == ["effnet-lite1-whitened"]
    assert names("*-stl10") == ["resnet50-clip-kd-stl10", "resnet50-stl10"]
    assert names("*-stl10", "--task", "pretraining") == ["resnet50-stl10"]
    assert names("resnet50") == []
    assert typist(main, "mvmr-zoo", "models", "resnet50").stdout.startswith("No matches.\n")


def test_a_figure_that_is_asked_for_is_the_one_that_is_shown(zoo: Path, typist: Typist) -> None:
    done = typist(main, "mvmr-zoo", "models", "resnet50-imagenet", "--min-metric", "imagenet/linear/top5=0.9")
    assert done.stdout.splitlines()[1].endswith("imagenet/linear/top5 92.1 % published")


def test_info_of_an_encoder_of_another_project(zoo: Path, typist: Typist) -> None:
    shown = typist(main, "mvmr-zoo", "info", "effnet-lite:0").stdout
    for fact in ("efficientnet-lite0", "features 1280", "224 px", "apache-2.0", "3,371,008", "383,907,552 per image"):
        assert fact in shown
    assert "not here" not in shown


def test_unknown_names_get_the_closest_ones(zoo: Path, typist: Typist) -> None:
    typed = functools.partial(typist, main, "mvmr-zoo", "info")
    refused(typed("resnet-18"), "Closest: torchvision:resnet18, ")
    refused(typed("effnet-lite"), "Closest: effnet-lite:0, effnet-lite:1, effnet-lite:2.")
    refused(typed("torchvision:resnet-18"), "Closest: resnet18, ")
    done = typed("torchvision:nope")
    refused(done, "torchvision has no classification network 'nope'.")
    assert "Closest" not in done.stderr


def test_one_damaged_folder_does_not_hide_the_others(tmp_path: Path, checkpoint: Checkpoint) -> None:
    home = tmp_path / ".cache" / "mvmr_zoo"
    (home / "broken").mkdir(parents=True)
    (home / "broken" / "config.json").write_text('{"schema_version": 2}')
    copy = Path(shutil.copytree(checkpoint.folder, home / "odd"))
    values = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(values | {"source": "\x1b[31mred\nfake row", "license": "a\x1b[31m"}))
    done = run("models", home=tmp_path)
    assert done.returncode == 0
    assert "resnet50-stl10" in done.stdout
    assert "\x1b" not in done.stdout
    assert done.stderr.startswith("Omitted: ")
    assert "schema_version is 2" in done.stderr
    shown = run("info", "odd", home=tmp_path).stdout
    assert "\x1b" not in shown
    assert "fake row" in shown.splitlines()[1]


def test_import_verify_bundle_unbundle(
    tmp_path: Path, photo_folder: Path, typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(shaken(resnet18(num_classes=4)).state_dict(), tmp_path / "mine.pth")
    done = run("import", tmp_path / "mine.pth", "--as", "mine", "--preprocess", "cifar", home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("mine: resnet18, 512 features, 32 px, in ")
    assert "The class names are not in the file." in done.stdout
    assert "mine" in typed("models").stdout
    verified = typed("verify", "mine")
    assert verified.returncode == 0, verified.stderr
    assert verified.stdout.splitlines()[-1].startswith("both agree    cosine 1.0")
    bundled = typed("bundle", "mine", "-o", tmp_path / "mine.tar")
    assert bundled.returncode == 0, bundled.stderr
    other = tmp_path / "other machine"
    monkeypatch.setenv("HOME", str(other))
    assert typed("unbundle", tmp_path / "mine.tar").returncode == 0
    done = run("index", "add", photo_folder, "--model", "mine", home=other)
    assert "12 indexed" in done.stdout, done.stderr
    assert str(other) not in typed("index", "status").stdout.splitlines()[1]  # `mine`, not a path


def test_what_is_refused(tmp_path: Path, zoo: Path, checkpoint: Checkpoint, typist: Typist) -> None:
    typed = functools.partial(typist, main, "mvmr-zoo")
    copy = Path(shutil.copytree(checkpoint.folder, tmp_path / "copy"))
    (copy / "graph.onnx").write_bytes(b"")
    (tmp_path / "text.tar").write_text("text")
    refused(run("info", "resnet50-stl", home=tmp_path), "Closest: resnet50-stl10")
    refused(typed("models", "--task", "kd"), "No model has task 'kd'")
    refused(typed("models", "--min-metric", "stl10"), "expected NAME=FRACTION")
    refused(typed("import", tmp_path / "none.pth", "--as", "resnet50-stl10"), "none.pth is not a file")
    refused(typed("import", tmp_path / "none.pth", "--as", "../up"), "is not a valid model name")
    refused(typed("verify", copy), "graph.onnx has SHA-256")
    refused(typed("verify", "resnet50-clip-kd"), "mvmr-zoo import FILE --as resnet50-clip-kd")
    refused(typed("bundle", checkpoint.folder, "-o", tmp_path / "no" / "a.tar"), "No such file or directory")
    refused(typed("unbundle", tmp_path / "text.tar"), "text.tar is not a complete tar file")
    refused(typed("unbundle", tmp_path / "none.tar"), "No such file or directory")
    refused(typed("fetch", "effnet-lite1-whitened"), "is already on this machine")
    assert not zoo.exists() or not list(zoo.iterdir())


def test_fetch_says_there_is_no_license_and_asks(tmp_path: Path) -> None:
    done = run("fetch", "resnet50-stl10", home=tmp_path, input="n\n")
    assert "without a license" in done.stdout
    assert done.returncode == 1


def test_fetch_without_gdown(tmp_path: Path) -> None:
    (tmp_path / "gdown.py").write_text("raise ModuleNotFoundError\n")
    done = run("fetch", "resnet50-stl10", "--yes", home=tmp_path, cwd=tmp_path)
    refused(done, "pip install 'mvmr-zoo[fetch]'")
