from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from training.cache import CacheConfig, Producer, cached_rows

from mvmr_zoo.datasets import ImageFolder, image_folder
from mvmr_zoo.errors import DataError
from training import cache

from ..conftest import write_photos


@pytest.fixture
def images(photo_folder: Path) -> ImageFolder:
    return image_folder(photo_folder)


def ramp(indices: NDArray[np.int64]) -> NDArray[np.float32]:
    return (indices[:, None] + np.arange(6) / 8).astype(np.float32)


def producer(
    compute: Callable[[NDArray[np.int64]], NDArray[np.float32]] = ramp, *, name: str = "ramp", digest: str = "1"
) -> Producer:
    return Producer(name=name, digest=digest, dim=6, compute=compute)


def forbidden(indices: NDArray[np.int64]) -> NDArray[np.float32]:
    raise AssertionError("computed again")


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_rows_are_computed_once(images: ImageFolder, tmp_path: Path, dtype: str) -> None:
    config = CacheConfig(dtype=dtype)
    first = cached_rows(tmp_path, images, producer(), config)
    assert isinstance(first, np.memmap)
    assert not first.flags.writeable
    assert first.dtype == dtype
    np.testing.assert_array_equal(first, ramp(np.arange(12)).astype(dtype))
    np.testing.assert_array_equal(cached_rows(tmp_path, images, producer(forbidden), config), first)


def test_a_killed_build_goes_on_where_it_was(
    images: ImageFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "BLOCK", 5)
    seen: list[int] = []

    def dies(indices: NDArray[np.int64]) -> NDArray[np.float32]:
        if indices[0] >= 5 and not seen:
            seen.append(0)
            raise KeyboardInterrupt
        return ramp(indices)

    def rest(indices: NDArray[np.int64]) -> NDArray[np.float32]:
        seen.extend(indices.tolist())
        return ramp(indices)

    with pytest.raises(KeyboardInterrupt):
        cached_rows(tmp_path, images, producer(dies), CacheConfig())
    found = cached_rows(tmp_path, images, producer(rest), CacheConfig())
    assert seen == [0, *range(5, 12)]
    np.testing.assert_array_equal(found, ramp(np.arange(12)))


def test_other_images_other_makers_and_other_options_are_kept_apart(images: ImageFolder, tmp_path: Path) -> None:
    other = image_folder(write_photos(tmp_path / "other", 10))
    home = tmp_path / "cache"
    cached_rows(home, images, producer(), CacheConfig())
    cached_rows(home, other, producer(), CacheConfig())
    cached_rows(home, images, producer(digest="2"), CacheConfig())
    cached_rows(home, images, producer(), CacheConfig(dtype="float32"))
    assert len(list(home.iterdir())) == 4


def test_a_foreign_cache_is_refused_by_name(images: ImageFolder, tmp_path: Path) -> None:
    """A folder that was renamed, or copied over from another machine."""
    cached_rows(tmp_path / "a", images, producer(), CacheConfig())
    cached_rows(tmp_path / "b", images, producer(digest="2"), CacheConfig())
    (theirs,), (ours,) = (tmp_path / "b").iterdir(), (tmp_path / "a").iterdir()
    shutil.rmtree(ours)
    shutil.copytree(theirs, ours)
    with pytest.raises(DataError, match=r"ramp-.* of another kind: its producer_digest is 2, this run's is 1"):
        cached_rows(tmp_path / "a", images, producer(), CacheConfig())


class Damage(NamedTuple):
    """What is done to a cache's folder, and what is said of it."""

    do: Callable[[Path], object]
    says: str


@pytest.mark.parametrize(
    "damage",
    [
        Damage(lambda home: (home / "manifest.json").write_text("{"), r"manifest\.json is damaged"),
        Damage(lambda home: (home / "rows.npy").unlink(), r"rows\.npy is damaged or missing"),
        Damage(lambda home: os.truncate(home / "rows.npy", 100), r"rows\.npy is damaged or missing"),
        Damage(lambda home: np.save(home / "rows.npy", np.zeros((3, 6), np.float16)), "3 rows for 12 images"),
        Damage(lambda home: np.save(home / "rows.npy", np.zeros((12, 6))), "float64; expected float16"),
    ],
)
def test_damage_is_named(damage: Damage, images: ImageFolder, tmp_path: Path) -> None:
    cached_rows(tmp_path, images, producer(), CacheConfig())
    (home,) = tmp_path.glob("ramp-*")
    damage.do(home)
    with pytest.raises(DataError, match=damage.says):
        cached_rows(tmp_path, images, producer(forbidden), CacheConfig())


def test_values_that_are_no_numbers_or_too_large(images: ImageFolder, tmp_path: Path) -> None:
    def broken(indices: NDArray[np.int64]) -> NDArray[np.float32]:
        return np.where(indices[:, None] == 3, np.nan, ramp(indices)).astype(np.float32)

    with pytest.raises(DataError, match=rf"ramp gave values for {images.describe(3)} that are not finite"):
        cached_rows(tmp_path, images, producer(broken), CacheConfig())
    large = producer(lambda indices: ramp(indices) + np.float32(70000), name="large")
    with pytest.raises(DataError, match="float16 cannot hold"):
        cached_rows(tmp_path, images, large, CacheConfig())
    assert cached_rows(tmp_path, images, large, CacheConfig(dtype="float32")).max() > 70000


def test_no_space(images: ImageFolder, tmp_path: Path) -> None:
    vast = Producer(name="vast", digest="1", dim=10**12, compute=forbidden)
    with pytest.raises(DataError, match=r"vast-.* needs 24000\.00 GB, and .* are free.*data\.cache"):
        cached_rows(tmp_path, images, vast, CacheConfig())


def test_a_folder_that_cannot_be_written(images: ImageFolder) -> None:
    with pytest.raises(DataError, match="/proc/cache"):
        cached_rows(Path("/proc/cache"), images, producer(), CacheConfig())


def test_projected_rows_come_with_their_bound(
    images: ImageFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wide = Producer(
        name="wide", digest="1", dim=900,
        compute=lambda indices: np.sin(np.outer(indices, np.arange(900) / 400)).astype(np.float32),
    )  # fmt: skip
    rows = cached_rows(tmp_path, images, wide, CacheConfig(projection=256, dtype="float32"))
    assert rows.shape == (12, 256)
    (manifest,) = tmp_path.glob("wide-*/manifest.json")
    stated = json.loads(manifest.read_text())["dcor_squared_change"]
    assert 0 < max(stated["blocks"]) == stated["largest"] < 1
    assert f"changes by at most {stated['largest']:.3f}" in capsys.readouterr().out


def test_the_bound_counts_blocks_of_a_killed_build(
    images: ImageFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "BLOCK", 4)
    config = CacheConfig(projection=16, dtype="float32")

    def dies(indices: NDArray[np.int64]) -> NDArray[np.float32]:
        if indices[0] == 8:
            raise KeyboardInterrupt
        return ramp(indices)

    with pytest.raises(KeyboardInterrupt):
        cached_rows(tmp_path, images, producer(dies), config)
    cached_rows(tmp_path, images, producer(), config)
    (manifest,) = tmp_path.glob("ramp-*/manifest.json")
    assert len(json.loads(manifest.read_text())["dcor_squared_change"]["blocks"]) == 3


BUILDER = """
import sys, time
from pathlib import Path
import numpy as np
from mvmr_zoo.datasets import image_folder
from training.cache import CacheConfig, Producer, cached_rows

def slow(indices):
    time.sleep(0.5)
    print("built", flush=True)
    return np.zeros((len(indices), 2), np.float32)

made = Producer(name="slow", digest="1", dim=2, compute=slow)
print(cached_rows(Path(sys.argv[2]), image_folder(sys.argv[1]), made, CacheConfig()).shape, flush=True)
"""


def test_of_two_processes_one_builds(photo_folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", BUILDER, str(photo_folder), str(tmp_path / "cache")]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = sorted(process.communicate()[0] for process in both)
    assert said == ["(12, 2)\n", "built\n(12, 2)\n"]
