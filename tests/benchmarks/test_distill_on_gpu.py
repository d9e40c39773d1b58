"""`benchmarks/distill_on_gpu.py` where there is no GPU, at tiny sizes."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import mvmr_zoo
from benchmarks.distill_on_gpu import main
from benchmarks.gpu_training.arms import run_arms, table
from benchmarks.gpu_training.convert import convert
from benchmarks.gpu_training.module import Views, fixed_targets
from benchmarks.gpu_training.options import BASE_ARM, Options, adapted, arms, from_scratch, shared_views
from benchmarks.gpu_training.pack import canvases
from benchmarks.gpu_training.photos import DrawnViews, Photos, resized
from benchmarks.gpu_training.run import Material, long_run
from mvmr_zoo.architectures import Encoder
from mvmr_zoo.datasets import open_images
from mvmr_zoo.images import Preprocess, read_image
from training.data import Draw, Plan, crop_image, to_tensor, view_of
from training.targets import Teachers, TeacherSpace

TINY = dataclasses.replace(
    from_scratch("resnet8", views=32),
    teacher_px=32,
    dim=8,
    sizes=((0.0, 24), (0.5, 32)),
    encoder_px=32,
    batch=8,
    canvas=40,
    ema=0.5,
    precision="fp32",
    workers=0,
)


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for place in ("train/a", "train/b", "dev/set/x", "dev/set/y"):
        (folder / place).mkdir(parents=True)
        for number in range(12):
            pixels = random.integers(0, 256, (4, 6, 3), np.uint8)
            image = Image.fromarray(pixels).resize((90, 60), Image.Resampling.BICUBIC)
            image.save(folder / place / f"{number}.png")
    (folder / "train/a/broken.png").write_bytes(b"no photo")
    words = ["pack", str(folder), str(folder / "pack"), "--dev", "set", "--px", "48", "--most", "20"]
    main([*words, "--dev-per-class", "9", "--shard-mb", "0.005", "--workers", "1"])
    return folder / "pack"


def material(pack: Path) -> Material:
    return Material(pack, canvases(pack / "train", TINY.canvas, 1), torch.device("cpu"))


def run(options: Options, pack: Path, output: Path, *, end: float = np.inf) -> None:
    long_run(options, material(pack), output, end=end, measure_every=16, allow_change=False)


def test_a_pack_has_every_readable_photo_in_several_files(pack: Path) -> None:
    images = open_images(f"parquet:{pack / 'train'}")
    assert len(list((pack / "train").glob("*.parquet"))) > 1
    assert images.class_names == ["a", "b"]
    np.testing.assert_array_equal(np.bincount(images.labels), [12, 12])
    assert {images.image(row).size for row in range(24)} == {(64, 48)}  # cropped to 4:3, then made smaller
    assert len(open_images(f"parquet:{pack / 'dev/set'}")) == 18


def test_canvases_are_read_again(pack: Path) -> None:
    first, again = (canvases(pack / "train", 40, 1) for _ in range(2))
    assert first.pixels.shape == (24, 3, 40, 40)
    np.testing.assert_array_equal(first.pixels, again.pixels)
    np.testing.assert_array_equal(first.sizes, [[64, 48]] * 24)


def test_crops_are_those_of_the_training_package(tmp_path: Path) -> None:
    """A photo that varies slowly, so that the two resampling filters agree."""
    across, down = np.meshgrid(np.linspace(0, 1, 80), np.linspace(0, 1, 80))
    image = Image.fromarray((255 * np.stack([across, down, 1 - across * down], -1)).astype(np.uint8))
    image.save(tmp_path / "photo.png")
    photo = read_image(tmp_path / "photo.png")
    config = TINY.config("out", photos=8, sources=["a"], target_dim=8)
    drawn = DrawnViews(np.array([[80, 80]]), np.array([0]), config.views)
    photos = Photos(to_tensor(photo)[None])
    for seed in range(6):
        draw = Draw(0, 32, seed, 0)
        view, _ = view_of(config.views, photo.size, 0, draw)
        expected = to_tensor(crop_image(photo, 32, config.views.augment.parameters, view))
        batch = torch.utils.data.default_collate([drawn[draw]])
        found = resized(photos.crop(batch, 80), 32)[0]
        assert (found.float() - expected.float()).abs().max() <= 4


def test_fixed_targets_are_at_the_rows_that_views_name() -> None:
    options = dataclasses.replace(TINY, fixed_views=2)
    config = options.config("out", photos=4, sources=["a"], target_dim=3)
    rows, plan = np.array([1, 3, 4, 5]), Plan(photos=4, batch_size=2, epochs=2, sizes=config.views.sizes, seed=0)
    pixels = torch.randint(0, 256, (6, 3, 32, 32), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    views = Views(Photos(pixels), DrawnViews(np.full((6, 2), 32), rows, config.views), plan, 32)

    class Mean:
        dim, preprocess = 3, Preprocess(resize_px=32, crop_px=32)

        def __call__(self, images: torch.Tensor) -> torch.Tensor:
            return images.mean(dim=(2, 3))

    teach = Teachers([Mean()], TeacherSpace(torch.zeros(3)))  # type: ignore[list-item]
    table = fixed_targets(teach, views, 0)
    for number in range(plan.total_batches):
        for drawn in views.batches([plan.batch(number)], 0):
            expected = teach(views.crops(drawn))
            torch.testing.assert_close(table[drawn.target_row].float(), expected, rtol=1e-3, atol=1e-3)


def test_every_arm_is_one_change() -> None:
    made = {each.name: each for each in arms(BASE_ARM)}
    reference = {"queue-seed1": "base-seed1", "few-k4": "few-live", "few-k8": "few-live"}
    allowed = {frozenset({"dim", "whitening"}), frozenset({"dim", "teachers"})}
    for name, each in made.items():
        base = dataclasses.asdict(made[reference.get(name, "base")])
        changed = {key for key, value in dataclasses.asdict(each).items() if value != base[key]} - {"name"}
        assert len(changed) == (name != "base") or changed in allowed
    assert all(each.views >= 200_000 for each in made.values())
    assert shared_views(made["base"]) == shared_views(made["queue"]) != shared_views(made["base-seed1"])


def test_arms_write_a_file_each_and_are_not_run_again(pack: Path, tmp_path: Path) -> None:
    base = dataclasses.replace(TINY, name="base", views=16)
    chosen = [
        base,
        dataclasses.replace(base, name="mixup", mixup=1.0),
        dataclasses.replace(base, name="k", fixed_views=2),
    ]
    run_arms(chosen[:2], material(pack), tmp_path, end=np.inf)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.json")}
    run_arms(chosen, material(pack), tmp_path, end=np.inf)
    assert sorted(path.stem for path in tmp_path.glob("*.json")) == ["base", "k", "mixup"]
    assert all(path.stat().st_mtime_ns == at for path, at in before.items())
    found = json.loads((tmp_path / "base.json").read_text())
    assert found["views"] == 16
    assert 0 < found["map"]["averaged"]["set"]["aligned"] <= 1
    assert "| k | 0 | 16 |" in table(tmp_path)
    run_arms([dataclasses.replace(base, name="late")], material(pack), tmp_path, end=time.monotonic() - 1)
    assert not (tmp_path / "late.json").exists()


def test_a_cut_run_continues_exactly_and_becomes_a_checkpoint_folder(pack: Path, tmp_path: Path) -> None:
    run(TINY, pack, tmp_path / "whole")
    run(TINY, pack, tmp_path / "cut", end=0.0)
    assert json.loads((tmp_path / "cut/options.json").read_text())["views"] == 8
    run(TINY, pack, tmp_path / "cut")
    whole, cut = (load_file(tmp_path / name / "result.safetensors") for name in ("whole", "cut"))
    for name, tensor in whole.items():
        assert torch.equal(tensor, cut[name]), name
    curves = [(tmp_path / name / "curve.jsonl").read_text() for name in ("whole", "cut")]
    assert [json.loads(line)["views"] for line in curves[0].splitlines()] == [16, 32]
    assert curves[0] == curves[1]

    made = mvmr_zoo.load(str(convert(tmp_path / "cut", tmp_path / "made").folder), output="features")
    images = open_images(f"parquet:{pack / 'dev/set'}")
    photos = [images.image(row) for row in range(6)]
    encoder = Encoder("resnet8")
    stored = {name.removeprefix("encoder."): each for name, each in cut.items() if name.startswith("encoder.")}
    encoder.load_state_dict({name: each.half().to(each) for name, each in stored.items()})
    with torch.no_grad():
        features = encoder.eval()(torch.stack([made.preprocess(photo, return_tensors="pt") for photo in photos]))
    expected = torch.nn.functional.normalize(features, dim=1).numpy()
    np.testing.assert_allclose(made.embed(photos), expected, rtol=0, atol=1e-4)
    assert mvmr_zoo.load(str(tmp_path / "made" / TINY.name)).dim == 8


def test_an_adapted_encoder_is_stored_as_a_difference(pack: Path, tmp_path: Path) -> None:
    options = dataclasses.replace(
        adapted("effnet-lite:0", 32, 16), teachers=TINY.teachers, teacher_px=32, dim=8, batch=8, canvas=40, min_side=0,
        precision="fp32", workers=0, ema=0.5,
    )  # fmt: skip
    run(options, pack, tmp_path / "run")
    folder = convert(tmp_path / "run", tmp_path / "made").folder
    assert (folder / "delta.safetensors").exists()
    made = mvmr_zoo.load(str(folder), output="features")
    images = open_images(f"parquet:{pack / 'dev/set'}")
    photos = [images.image(row) for row in range(4)]
    encoder = Encoder("effnet-lite:0")
    stored = load_file(tmp_path / "run/result.safetensors")
    encoder.load_state_dict({name[8:]: each for name, each in stored.items() if name.startswith("encoder.")})
    with torch.no_grad():
        features = encoder.eval()(torch.stack([made.preprocess(photo, return_tensors="pt") for photo in photos]))
    expected = torch.nn.functional.normalize(features, dim=1).numpy()
    np.testing.assert_allclose(made.embed(photos), expected, rtol=0, atol=1e-4)
