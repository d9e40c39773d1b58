from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from demo import photo_map
from demo.photo_map import (
    PALETTE,
    SIZE_PX,
    PhotoMap,
    View,
    draw_map,
    make_map,
    nearest_point,
    principal_components,
    sample_ids,
)
from mvmr_zoo import PhotoLibrary
from mvmr_zoo.errors import ConfigError, MissingDependencyError
from mvmr_zoo.search import PhotoRow

from .conftest import Album


@pytest.fixture(scope="module")
def rows(album: Album) -> dict[int, PhotoRow]:
    with PhotoLibrary(album.library) as library:
        return library.photos(library.ids())


def test_principal_components_match_the_svd() -> None:
    vectors = np.random.default_rng(0).standard_normal((50, 8)).astype(np.float32) * np.arange(1, 9, dtype=np.float32)
    centered = vectors - vectors.mean(axis=0)
    left, values, _ = np.linalg.svd(centered.astype(np.float64), full_matrices=False)
    np.testing.assert_allclose(
        np.abs(principal_components(vectors)), np.abs(left[:, :2] * values[:2]), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("colors", ["folder", "cluster"])
def test_all_photos_are_points(rows: dict[int, PhotoRow], colors: photo_map.Colors) -> None:
    made = make_map(rows, "pca", colors, total=len(rows))
    assert made.ids.tolist() == list(rows)
    assert made.xy.min() >= 0
    assert made.xy.max() <= 1
    assert np.ptp(made.xy, axis=0).max() > 0.85
    counts = np.bincount(made.groups, minlength=len(made.names))
    assert counts.sum() == len(rows)
    assert (np.diff(counts) <= 0).all()
    assert len(made.names) == (1 if colors == "folder" else len(PALETTE) - 1)


def test_views_of_a_photograph_are_close(rows: dict[int, PhotoRow]) -> None:
    made = make_map(rows, "pca", "folder", total=len(rows))
    names = np.array([Path(row.path.decode()).name.split("--")[0] for row in rows.values()])
    distances = np.linalg.norm(made.xy[:, None] - made.xy[None], axis=2)
    same = names[:, None] == names[None]
    np.fill_diagonal(same, False)
    assert distances[same].mean() < 0.6 * distances[~same].mean()


def test_smallest_groups_are_merged(rows: dict[int, PhotoRow]) -> None:
    labels = [f"g{number}" for number in range(15) for _ in range(20 - number)]
    groups, names = photo_map._group(labels)
    assert names == (*(f"g{number}" for number in range(11)), "4 others")
    assert np.bincount(groups).tolist() == [*range(20, 9, -1), 9 + 8 + 7 + 6]


def test_nearest_point_inverts_pixels() -> None:
    random = np.random.default_rng(0)
    made = PhotoMap(np.arange(40) + 7, random.random((40, 2)), np.zeros(40, np.int64), ("a",), 40)
    for view in (View(), View(0.3, 0.6, 4.0)):
        for point, (x, y) in enumerate(view.pixels(made.xy)):
            assert nearest_point(made, view, x, y) == point
    assert View().pixels(np.array([[0.5, 0.25]])).tolist() == [[SIZE_PX / 2, SIZE_PX / 4]]


def test_points_are_drawn_at_their_positions_in_their_colors() -> None:
    made = PhotoMap(np.array([1, 2]), np.array([[0.25, 0.5], [0.75, 0.5]]), np.array([0, 1]), ("a", "b"), 2)
    picture = np.asarray(draw_map(made, View()))
    for x, group in ((0.25, 0), (0.75, 1)):
        pixel = picture[SIZE_PX // 2, round(x * SIZE_PX)]
        assert "#{:02x}{:02x}{:02x}".format(*pixel[:3]) == PALETTE[group]
        assert pixel[3] == 255
    assert picture[5, 5, 3] == 0
    ringed = np.asarray(draw_map(made, View(), marked=2))
    assert (ringed[:, : SIZE_PX // 2] == picture[:, : SIZE_PX // 2]).all()
    assert (ringed[:, SIZE_PX // 2 :] != picture[:, SIZE_PX // 2 :]).any()


def test_large_libraries_are_sampled(rows: dict[int, PhotoRow], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photo_map, "MAX_POINTS", 30)
    some = sample_ids(list(rows))
    assert len(set(some)) == 30
    assert set(some) < set(rows)
    assert some == sorted(some) == sample_ids(list(rows))
    assert sample_ids(some) == some


def test_map_of_equal_photos(tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / "p").mkdir(exist_ok=True)
        Image.new("RGB", (40, 40), "red").save(tmp_path / "p" / f"{number}.png")
    with PhotoLibrary(tmp_path / "library") as library:
        library.add([tmp_path / "p"])
        rows = library.photos(library.ids())
    made = make_map(rows, "pca", "cluster", total=len(rows))
    assert np.isfinite(made.xy).all()
    draw_map(made, View())
    with pytest.raises(ConfigError, match="has 2 photos, but a map needs at least 3"):
        make_map(dict(list(rows.items())[:2]), "pca", "folder", total=2)


@pytest.mark.skipif(photo_map.has_umap(), reason="umap-learn is installed")
def test_missing_umap_is_reported(rows: dict[int, PhotoRow]) -> None:
    with pytest.raises(MissingDependencyError, match=r"umap-learn is required.*mvmr-zoo\[umap\]"):
        make_map(rows, "umap", "folder", total=len(rows))
