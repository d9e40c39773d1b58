from __future__ import annotations

import os
import resource
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from filelock import FileLock
from numpy.typing import NDArray

from mvmr_zoo.datasets import ImageFolder, image_folder
from mvmr_zoo.errors import DataError
from training.config import CacheConfig
from training.targets import cache
from training.targets.cache import Producer, cached_rows

from ...conftest import write_photos


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


def test_a_killed_build_continues(images: ImageFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_cache_of_another_kind_is_refused_by_name(images: ImageFolder, tmp_path: Path) -> None:
    """A folder that was renamed, or copied over from another machine."""
    cached_rows(tmp_path / "a", images, producer(), CacheConfig())
    cached_rows(tmp_path / "b", images, producer(digest="2"), CacheConfig())
    (theirs,), (ours,) = (tmp_path / "b").iterdir(), (tmp_path / "a").iterdir()
    shutil.rmtree(ours)
    shutil.copytree(theirs, ours)
    with pytest.raises(DataError, match=r"ramp-.* contains another cache: its producer_digest is 2; expected 1"):
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
        Damage(lambda home: np.save(home / "rows.npy", np.zeros((3, 6), np.float16)), "contains 3 rows; expected 12"),
        Damage(
            lambda home: np.save(home / "rows.npy", np.zeros((12, 6))),
            r"has shape \(12, 6\), float64; expected \(N, K\), float16",
        ),
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

    with pytest.raises(DataError, match=rf"ramp produced NaN or infinite values for {images.describe(3)}"):
        cached_rows(tmp_path, images, producer(broken), CacheConfig())
    large = producer(lambda indices: ramp(indices) + np.float32(70000), name="large")
    with pytest.raises(DataError, match="above the range of float16"):
        cached_rows(tmp_path, images, large, CacheConfig())
    assert cached_rows(tmp_path, images, large, CacheConfig(dtype="float32")).max() > 70000


def test_no_space(images: ImageFolder, tmp_path: Path) -> None:
    vast = Producer(name="vast", digest="1", dim=10**12, compute=forbidden)
    with pytest.raises(DataError, match=r"vast-.* needs 24000\.00 GB, and .* are free.*data\.cache"):
        cached_rows(tmp_path, images, vast, CacheConfig())


def test_a_folder_that_cannot_be_written(images: ImageFolder) -> None:
    with pytest.raises(DataError, match="/proc/cache"):
        cached_rows(Path("/proc/cache"), images, producer(), CacheConfig())


def test_a_disk_that_is_full_loses_nothing(images: ImageFolder, tmp_path: Path) -> None:
    """The rows are reserved before any is computed: what would kill the process later is one line now."""
    large = Producer(name="large", digest="1", dim=100_000, compute=forbidden)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, before[1]))
    try:
        with pytest.raises(DataError, match=r"large-.*: the cache cannot be written"):
            cached_rows(tmp_path, images, large, CacheConfig())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    (home,) = tmp_path.glob("large-*")
    assert not (home / "manifest.json").exists()
    large = Producer(name="large", digest="1", dim=100_000, compute=lambda i: np.ones((len(i), 100_000), np.float32))
    assert cached_rows(tmp_path, images, large, CacheConfig()).shape == (12, 100_000)


def test_a_killed_build_of_several_rows_an_image(
    images: ImageFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "BLOCK", 7)  # which no image's rows fill
    asked: list[int] = []

    def compute(indices: NDArray[np.int64]) -> NDArray[np.float32]:
        asked.extend(indices.tolist())
        if asked.count(14) == 1 and 14 in indices:
            raise KeyboardInterrupt
        return ramp(indices)

    def made(facts: dict[str, int]) -> Producer:
        return Producer(name="views", digest="1", dim=6, compute=compute, repeats=3, facts=facts)

    with pytest.raises(KeyboardInterrupt):
        cached_rows(tmp_path, images, made({"view_seed": 0}), CacheConfig())
    found = cached_rows(tmp_path, images, made({"view_seed": 0}), CacheConfig())
    assert asked == [*range(21), *range(14, 36)]
    np.testing.assert_array_equal(found, ramp(np.arange(36)))
    cached_rows(tmp_path, images, made({"view_seed": 1}), CacheConfig())
    assert len(list(tmp_path.glob("views-*"))) == 2


def test_a_value_that_is_not_finite_names_its_image(images: ImageFolder, tmp_path: Path) -> None:
    def broken(indices: NDArray[np.int64]) -> NDArray[np.float32]:
        return np.where(indices[:, None] == 22, np.nan, ramp(indices)).astype(np.float32)

    made = Producer(name="views", digest="1", dim=6, compute=broken, repeats=3)
    with pytest.raises(DataError, match=rf"views produced NaN or infinite values for {images.describe(7)}"):
        cached_rows(tmp_path, images, made, CacheConfig())


def test_of_two_builders_one_builds_and_the_other_waits(
    images: ImageFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As threads, whose locks exclude each other as those of two processes do."""
    arrived, both = [], threading.Event()

    class Announced(FileLock):  # type: ignore[misc,valid-type]
        def __enter__(self) -> Announced:
            arrived.append(1)
            if len(arrived) == 2:
                both.set()
            super().__enter__()
            return self

    def compute(indices: NDArray[np.int64]) -> NDArray[np.float32]:
        assert both.wait(60)
        built.append(len(indices))
        return ramp(indices)

    built: list[int] = []
    monkeypatch.setattr(cache, "FileLock", Announced)
    with ThreadPoolExecutor(2) as pool:
        both_rows = [pool.submit(cached_rows, tmp_path, images, producer(compute), CacheConfig()) for _ in range(2)]
    assert built == [12]
    for rows in both_rows:
        np.testing.assert_array_equal(rows.result(), ramp(np.arange(12)))
