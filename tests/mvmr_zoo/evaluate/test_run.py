from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import mvmr_zoo
from mvmr_zoo.checkpoint import Checkpoint, Head, alignment_from_projector, file_digest
from mvmr_zoo.datasets import Splits, embed_images, image_folder, open_splits
from mvmr_zoo.errors import ConfigError, DataError
from mvmr_zoo.evaluate import (
    PROTOCOLS,
    Options,
    compare,
    evaluate,
    evaluate_all,
    knn,
    measure,
    read_report,
    retrieval,
)
from mvmr_zoo.evaluate.attach import attach_report
from mvmr_zoo.evaluate.cache import cached_features, features_of_test, hash_splits, images_digest, ten_crop_features
from mvmr_zoo.evaluate.views import TEN_CROPS

from ...command_line import Typed, refused, run
from ...conftest import make_checkpoint, write_photos
from ...hub_client import HubClient
from ...hub_server import HubServer
from ..datasets.voc_folder import write_voc


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Forty photos to fit on and sixteen to measure on, of two classes."""
    write_photos(tmp_path / "data" / "train", 40)
    write_photos(tmp_path / "data" / "val", 16)
    return tmp_path / "data"


class Counted:
    """An image set that counts how often an image is read."""

    def __init__(self, images: object) -> None:
        self.images, self.read = images, 0

    def __getattr__(self, name: str) -> object:
        return getattr(self.images, name)

    def __len__(self) -> int:
        return len(self.images)

    def image(self, index: int, **options: object) -> object:
        self.read += 1
        return self.images.image(index, **options)


def test_a_second_time_no_image_is_read(
    checkpoint: Checkpoint, other_checkpoint: Checkpoint, data: Path, zoo: Path
) -> None:
    model, images = mvmr_zoo.load(checkpoint.folder), Counted(image_folder(data / "val"))
    first = cached_features(model, images, images_digest(images))
    assert images.read == 16
    np.testing.assert_array_equal(
        first, embed_images(model.engine, model.preprocess, image_folder(data / "val"), range(16), dim=256)
    )
    again = Counted(image_folder(data / "val"))
    np.testing.assert_array_equal(cached_features(model, again, images_digest(again)), first)
    assert again.read == 0
    cached_features(mvmr_zoo.load(other_checkpoint.folder), again, images_digest(again))
    assert again.read == 16


def test_files_are_looked_up_once_for_a_report(checkpoint: Checkpoint, data: Path, zoo: Path) -> None:
    looked_up = []

    class Watched(Counted):
        @property
        def files(self) -> object:
            looked_up.append(self)
            return self.images.files

    splits = Splits("data", Watched(image_folder(data / "train")), Watched(image_folder(data / "val")))
    model = mvmr_zoo.load(checkpoint.folder)
    report = measure(PROTOCOLS["knn"], "", model, hash_splits(splits), Options()).report
    assert report.images["test"] == image_folder(data / "val").fingerprint
    assert looked_up == [splits.train, splits.test]


def test_a_changed_byte_misses_the_cache(checkpoint: Checkpoint, data: Path, zoo: Path) -> None:
    before = images_digest(image_folder(data / "val"))
    assert images_digest(image_folder(data / "val")) == before
    photo = data / "val" / "a" / "00.jpg"
    times = (photo.stat().st_atime_ns, photo.stat().st_mtime_ns)
    content = bytearray(photo.read_bytes())
    content[-3] ^= 1
    photo.write_bytes(content)
    os.utime(photo, ns=times)  # same size, same date: the time of change still tells
    assert images_digest(image_folder(data / "val")) != before


def test_a_cache_that_was_cut_short_is_made_again(checkpoint: Checkpoint, data: Path, zoo: Path) -> None:
    model, images = mvmr_zoo.load(checkpoint.folder), image_folder(data / "val")
    first = cached_features(model, images, images_digest(images))
    (path,) = (zoo / ".evaluation" / "features").iterdir()
    path.write_bytes(path.read_bytes()[:300])
    np.testing.assert_array_equal(cached_features(model, images, images_digest(images)), first)


def test_reports_are_those_of_the_protocols(checkpoint: Checkpoint, data: Path, zoo: Path) -> None:
    report = evaluate("knn", str(checkpoint.folder), f"folder:{data}").report
    model, train, test = mvmr_zoo.load(checkpoint.folder), image_folder(data / "train"), image_folder(data / "val")
    alone = knn(model.embed(train.paths), train.labels, model.embed(test.paths), test.labels)
    figure = report.figures["data/knn-v1"]
    assert figure.value == pytest.approx(alone.accuracy, abs=1e-4)
    assert figure.images == 16
    assert report.weights == checkpoint.weights_digest
    assert report.images["test"] == test.fingerprint
    assert sum(pair.images for pair in report.confusions) == round(16 * (1 - alone.accuracy))


def test_a_folder_without_splits_gets_a_seeded_one(checkpoint: Checkpoint, data: Path, zoo: Path) -> None:
    one, two, other = (
        evaluate("knn", str(checkpoint.folder), f"folder:{data / 'train'}", options=Options(seed=seed)).report
        for seed in (0, 0, 1)
    )
    assert one.figures == two.figures
    assert one.figures["train/knn-v1"].images == 8
    assert one.images == two.images != other.images


def test_what_cannot_be_measured(checkpoint: Checkpoint, data: Path, zoo: Path, tmp_path: Path) -> None:
    spec = str(checkpoint.folder)
    with pytest.raises(ConfigError, match=r"There is no protocol named 'kn'\. Closest: knn"):
        evaluate("kn", spec, f"folder:{data}")
    with pytest.raises(DataError, match=r"is a named data set\. Set data\.root"):
        evaluate("knn", spec, "stl10")
    with pytest.raises(DataError, match="Closest: imagenette"):
        evaluate("knn", spec, "imagenete")
    (data / "val" / "a").rename(data / "val" / "z")
    with pytest.raises(DataError, match="train and test have different classes, for example a"):
        evaluate("knn", spec, f"folder:{data}")
    (tmp_path / "flat").mkdir()
    write_photos(tmp_path / "flat" / "x", 2)
    with pytest.raises(DataError, match="x: the test split is empty"):
        evaluate("retrieval", spec, f"folder:{tmp_path / 'flat' / 'x'}")


def test_the_command(checkpoint: Checkpoint, data: Path, tmp_path: Path, typed: Typed) -> None:
    arguments = ("--data", f"folder:{data}", "--output", tmp_path / "reports")
    done = run("eval", "all", "effnet-lite:0", *arguments, home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "data/linear-v1" in done.stdout
    names = sorted(path.name for path in (tmp_path / "reports").iterdir())
    protocols = ("knn", "linear", "linear-sgd", "retrieval")
    assert set(names) == {f"effnet-lite-0-data-{each}.{kind}" for each in protocols for kind in ("json", "md")}
    report = read_report(tmp_path / "reports" / names[0])
    assert report.figures["data/knn-v1"].interval is not None
    assert json.loads((tmp_path / "reports" / names[0]).read_text())["machine"]["cores"]
    refused(typed("eval", "knn", "effnet-lite1-whitened", "--data", "cifar11"), "Closest: cifar10")


def test_one_protocol_with_pictures(data: Path, checkpoint: Checkpoint, tmp_path: Path, typed: Typed) -> None:
    arguments = ("--data", f"folder:{data}", "--plots")
    refused(typed("eval", "knn", checkpoint.folder, *arguments), "--plots needs --output FOLDER.")
    refused(
        typed("eval", "knn", checkpoint.folder, *arguments[:2], "--ten-crop"),
        "--ten-crop works only with linear",
    )
    for protocol, pictures in (("knn", ["confusions", "neighbors"]), ("retrieval", ["hits", "map"])):
        output = tmp_path / protocol
        done = typed("eval", protocol, checkpoint.folder, *arguments, "--output", output)
        assert done.returncode == 0, done.stderr
        drawn = sorted(path.name for path in output.glob("*.png"))
        assert drawn == [f"tiny-data-{protocol}-{each}.png" for each in pictures]
        page = (output / f"tiny-data-{protocol}.md").read_text()
        assert f"- weights: {checkpoint.weights_digest}" in page
        assert read_report(output / f"tiny-data-{protocol}.json").model == "tiny"


def test_ten_crops_are_measured_beside_the_center(checkpoint: Checkpoint, data: Path, zoo: Path) -> None:
    spec = str(checkpoint.folder)
    plain = evaluate("linear", spec, f"folder:{data}").report.figures
    found = evaluate("linear", spec, f"folder:{data}", options=Options(ten_crop=True)).report.figures
    assert found.keys() - plain.keys() == {"data/linear-v1/ten-crop"}
    assert found["data/linear-v1"] == plain["data/linear-v1"]
    model, splits = mvmr_zoo.load(spec), hash_splits(open_splits(f"folder:{data}"))
    crops = [features_of_test(model, splits, view) for view in TEN_CROPS]
    np.testing.assert_allclose(ten_crop_features(model, splits), np.mean(crops, axis=0), rtol=1e-5, atol=1e-5)


def test_two_encoders_side_by_side(
    checkpoint: Checkpoint, other_checkpoint: Checkpoint, data: Path, zoo: Path, tmp_path: Path, typed: Typed
) -> None:
    first, second = str(checkpoint.folder), str(other_checkpoint.folder)
    rows = {row.name: row for row in compare("knn", first, second, f"folder:{data}").rows}
    row = rows["knn-v1"]
    assert row.first == evaluate("knn", first, f"folder:{data}").report.figures["data/knn-v1"]
    assert row.difference.value == pytest.approx(row.first.value - row.second.value, abs=2e-4)
    assert row.difference.low <= row.difference.value <= row.difference.high
    done = typed("eval", "compare", first, second, "--data", f"folder:{data}")
    assert done.returncode == 0, done.stderr
    assert str(row.difference) in done.stdout


def test_voc07_from_its_folder_to_a_report(tmp_path: Path, typed: Typed) -> None:
    write_voc(tmp_path / "data")
    arguments = (
        make_checkpoint(tmp_path / "small", "resnet8").folder,
        "--data",
        "voc07",
        "--data-root",
        tmp_path / "data",
    )
    refused(
        typed("eval", "knn", *arguments),
        "cannot be used with voc07 because its photos have several classes each. Use voc07.",
    )
    done = typed("eval", "all", *arguments, "--output", tmp_path / "reports")
    assert done.returncode == 0, done.stderr
    (file,) = (tmp_path / "reports").glob("*.json")
    report = read_report(file)
    assert report.protocol == "voc07-v1"
    assert report.figures["voc07/voc07-v1"].value > 0.3  # a tenth of the photos show each class
    low, high = report.figures["voc07/voc07-v1/area"].interval
    assert low < report.figures["voc07/voc07-v1/area"].value < high


def test_a_fine_tuned_encoder_by_its_own_classifier(tmp_path: Path, data: Path, zoo: Path) -> None:
    names = ("b", "a")  # not in the data set's order
    weight = np.random.default_rng(0).standard_normal((2, 256)).astype(np.float32)
    tuned = make_checkpoint(tmp_path / "tuned", head=Head(weight, np.zeros(2, np.float32)), class_names=names)
    model, images = mvmr_zoo.load(tuned.folder), image_folder(data / "val")
    found = evaluate("semi", str(tuned.folder), f"folder:{data}")
    said = [names[number] for number in model.classify(images.paths).probabilities.argmax(axis=1)]
    right = [name == images.class_names[label] for name, label in zip(said, images.labels, strict=True)]
    assert found.report.figures["data/semi-v1"].value == pytest.approx(np.mean(right), abs=1e-4)
    assert 0 < np.mean(right) < 1
    assert [images.class_names[number] for number in found.outcome.answers] == said


def test_a_protocol_that_does_not_apply(checkpoint: Checkpoint, data: Path, zoo: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"semi-v1 cannot be used with tiny because it has no classifier\."):
        evaluate("semi", str(checkpoint.folder), f"folder:{data}")
    with pytest.raises(ConfigError, match=r"voc07-v1 cannot be used with data because its images have one class"):
        evaluate("voc07", str(checkpoint.folder), f"folder:{data}")
    other = make_checkpoint(
        tmp_path / "other", head=Head(np.ones((2, 256), np.float32), np.zeros(2, np.float32)), class_names=("x", "y")
    )
    with pytest.raises(ConfigError, match="cannot be used with other and data because their classes differ"):
        evaluate("semi", str(other.folder), f"folder:{data}")


def test_what_the_command_refuses(checkpoint: Checkpoint, data: Path, tmp_path: Path, typed: Typed) -> None:
    command, here = ("eval", "knn", checkpoint.folder, "--data"), f"folder:{data}"
    refused(
        typed("eval", "knn", "effnet-lite:0", "--data", here, "--attach"),
        "external encoder effnet-lite:0 has none",
    )
    refused(typed(*command, "folder:"), "expected the name of a data set")
    write_photos(tmp_path / "half" / "train", 6)
    refused(typed(*command, f"folder:{tmp_path / 'half'}"), "contains train but not test or val")
    reports = tmp_path / "reports"
    assert typed(*command, here, "--output", reports).returncode == 0
    write_photos(tmp_path / "other" / "data", 12)
    again = typed(*command, f"folder:{tmp_path / 'other' / 'data'}", "--output", reports)
    refused(again, "tiny-data-knn.json is a report on different images")


def test_all_goes_on_where_one_protocol_cannot(checkpoint: Checkpoint, tmp_path: Path, typed: Typed) -> None:
    write_photos(tmp_path / "data" / "train", 2)  # one photo a class
    write_photos(tmp_path / "data" / "val", 8)
    done = typed("eval", "all", checkpoint.folder, "--data", f"folder:{tmp_path / 'data'}")
    assert done.returncode == 1
    assert "linear cannot be measured: linear-v1 needs a class with at least two images" in done.stderr
    assert "data/retrieval-v1/map" in done.stdout


def test_small_classes_are_tested_on_too(checkpoint: Checkpoint, tmp_path: Path, zoo: Path) -> None:
    write_photos(tmp_path / "few", 4)
    assert (
        evaluate("knn", str(checkpoint.folder), f"folder:{tmp_path / 'few'}").report.figures["few/knn-v1"].images == 2
    )


def test_attached_figures_stand_on_the_card(tmp_path: Path, data: Path, checkpoint: Checkpoint, typed: Typed) -> None:
    copy = shutil.copytree(checkpoint.folder, tmp_path / "copy")
    done = typed("eval", "knn", copy, "--data", f"folder:{data}", "--attach")
    assert done.returncode == 0, done.stderr
    assert "| data/knn-v1 | " in (tmp_path / "copy" / "README.md").read_text()
    assert typed("verify", copy).returncode == 0


def test_attaching_hashes_the_weights_once(
    tmp_path: Path, data: Path, checkpoint: Checkpoint, typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copytree(checkpoint.folder, tmp_path / "copy")
    hashed: list[Path] = []

    def counted(path: Path) -> str:
        hashed.append(path)
        return file_digest(path)

    monkeypatch.setattr("mvmr_zoo.checkpoint.hashes.file_digest", counted)
    assert typed("eval", "knn", copy, "--data", f"folder:{data}", "--attach").returncode == 0
    assert hashed.count(copy / "model.safetensors") == 1
    assert "| data/knn-v1 | " in (copy / "README.md").read_text()


def test_imagenette_by_name(imagenette: Path, zoo: Path) -> None:
    splits = mvmr_zoo.datasets.open_splits("imagenette", imagenette.parent)
    assert (len(splits.train), len(splits.test)) == (9469, 3925)


def test_cifar10_by_name_in_parquet_files(imagenette: Path, zoo: Path) -> None:
    if not (imagenette.parent / "cifar10").is_dir():
        pytest.skip("MVMR_DATA names no folder with cifar10")
    cifar = mvmr_zoo.datasets.open_splits("cifar10", imagenette.parent)
    assert (len(cifar.train), len(cifar.test)) == (50_000, 10_000)
    assert cifar.test.class_names[0] == "airplane"


def test_figures_are_not_attached_in_the_hubs_cache(
    hub: HubServer, checkpoint: Checkpoint, data: Path, tmp_path: Path
) -> None:
    hub.store("org/tiny", checkpoint.folder)
    user = HubClient(hub, tmp_path / "user")
    before = user.load("hf-hub:org/tiny")
    command = ("-m", "mvmr_zoo.cli", "eval", "knn", "hf-hub:org/tiny", "--data", f"folder:{data}", "--attach")
    refused(user.run(*command), "is in the cache of the Hub")
    assert user.load("hf-hub:org/tiny", HF_HUB_OFFLINE="1") == before


def test_a_report_says_which_output_it_measured(aligned_checkpoint: Checkpoint, data: Path, zoo: Path) -> None:
    spec, here = str(aligned_checkpoint.folder), f"folder:{data}"
    whole, short, features = (
        evaluate("retrieval", spec, here, output=output, dim=dim).report
        for output, dim in ((None, None), (None, 3), ("features", None))
    )
    assert [(each.output, each.dim) for each in (whole, short, features)] == [
        ("aligned", 256), ("aligned", 3), ("features", 256),
    ]  # fmt: skip
    assert len({each.weights for each in (whole, short, features)}) == 3  # bound to what they measured
    assert features.weights == aligned_checkpoint.weights_digest
    test = image_folder(data / "val")
    for report in (whole, short, features):
        model = mvmr_zoo.load(spec, output=report.output, dim=report.dim if report.output == "aligned" else None)
        assert report.weights == model.vectors_digest
        alone = retrieval(model.embed(test.paths), test.labels).precisions.mean()
        assert report.figures["data/retrieval-v1/map"].value == pytest.approx(alone, abs=1e-4)


def test_a_classifier_is_measured_on_features(tmp_path: Path, data: Path, zoo: Path) -> None:
    head = Head(np.random.default_rng(0).standard_normal((2, 256)).astype(np.float32), np.zeros(2, np.float32))
    weight = np.random.default_rng(0).standard_normal((300, 256)).astype(np.float32)
    tuned = make_checkpoint(
        tmp_path / "tuned", head=head, class_names=("b", "a"), alignment=alignment_from_projector(weight, None),
        default_output="aligned",
    )  # fmt: skip
    by_default, by_features = (
        evaluate("semi", str(tuned.folder), f"folder:{data}", output=output).report for output in (None, "features")
    )
    assert by_default.output == "features"
    assert (by_default.figures, by_default.weights) == (by_features.figures, tuned.weights_digest)


def test_linear_probes_measure_features_unless_told_otherwise(
    aligned_checkpoint: Checkpoint, data: Path, zoo: Path
) -> None:
    spec, here = str(aligned_checkpoint.folder), f"folder:{data}"
    asked = (("linear", None, None), ("linear", "aligned", None), ("linear", None, 5), ("knn", None, None))
    reports = [evaluate(protocol, spec, here, output=output, dim=dim).report for protocol, output, dim in asked]
    assert [(each.output, each.dim) for each in reports] == [
        ("features", 256), ("aligned", 256), ("aligned", 5), ("aligned", 256),
    ]  # fmt: skip
    by_name = {name: each.report.output for name, each in evaluate_all(spec, here)}
    assert by_name["linear"] == "features"
    assert by_name["retrieval"] == "aligned"
    for protocol, output in (("linear", "features"), ("knn", "aligned")):
        compared = compare(protocol, spec, spec, here, second_output="aligned", second_dim=5)
        assert [compared.first.output, compared.second.dim] == [output, 5]


def test_outputs_on_the_command_line(aligned_checkpoint: Checkpoint, data: Path, tmp_path: Path, typed: Typed) -> None:
    spec = shutil.copytree(aligned_checkpoint.folder, tmp_path / "copy")
    options = ("--data", f"folder:{data}", "--output", tmp_path / "reports")
    for more in ((), ("--dim", 20), ("--model-output", "features")):
        done = typed("eval", "knn", spec, *options, *more, "--attach")
        assert done.returncode == 0, done.stderr
    names = {"distilled-aligned-256-data-knn", "distilled-aligned-20-data-knn", "distilled-data-knn"}
    assert {path.stem for path in (tmp_path / "reports").iterdir()} == names
    page = (tmp_path / "reports" / "distilled-aligned-20-data-knn.md").read_text()
    assert "knn-v1 of distilled (aligned, 20 dimensions) on data" in page
    assert "- output: aligned, 20 dimensions" in page
    table = typed("eval", "table", "--reports", tmp_path / "reports").stdout
    assert all(f"| {shown} |" in table for shown in ("distilled", "distilled (aligned, 20 dimensions)"))
    card = (tmp_path / "copy" / "README.md").read_text()
    assert all(f"| {name} |" in card for name in ("data/knn-v1", "data/knn-v1/aligned", "data/knn-v1/aligned/dim=20"))
    assert typed("verify", spec).returncode == 0
    for words, message in (
        (("--model-output", "words"), "output is 'words'"),
        (("--output", "aligned"), "--output is aligned; expected a path. Use --model-output aligned."),
        (("--dim", 300), "expected at most 256"),
    ):
        refused(typed("eval", "knn", spec, *options[:2], *words), message)
    both = ("--first-output", "aligned", "--first-dim", 20, "--second-output", "features")
    done = typed("eval", "compare", spec, spec, *options[:2], *both)
    assert done.returncode == 0, done.stderr
    assert f"{spec} (aligned, 20 dimensions) minus {spec};" in done.stdout


def test_figures_of_another_alignment_are_not_attached(
    aligned_checkpoint: Checkpoint, data: Path, zoo: Path, tmp_path: Path
) -> None:
    spec = str(shutil.copytree(aligned_checkpoint.folder, tmp_path / "copy"))
    report = evaluate("knn", spec, f"folder:{data}").report
    assert "data/knn-v1/aligned" in attach_report(report, None).config.metrics
    weight = np.random.default_rng(1).standard_normal((300, 256)).astype(np.float32)
    other = make_checkpoint(tmp_path / "copy", alignment=alignment_from_projector(weight, None))
    assert other.weights_digest == aligned_checkpoint.weights_digest
    with pytest.raises(ConfigError, match="differ from those in the report on"):
        attach_report(report, None)
