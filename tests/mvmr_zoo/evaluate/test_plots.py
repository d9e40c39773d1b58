from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor

from mvmr_zoo.checkpoint.card import Figure
from mvmr_zoo.datasets import ImageFolder, image_folder
from mvmr_zoo.errors import DataError, MissingDependencyError
from mvmr_zoo.evaluate import plots
from mvmr_zoo.evaluate import retrieval_sheet as tiles
from mvmr_zoo.evaluate.labels import confusion_counts
from mvmr_zoo.evaluate.plots import confusion_plot, feature_map, feature_map_plot, neighbors_plot
from mvmr_zoo.evaluate.retrieval_sheet import drawn_queries, nearest_others, retrieval_sheet

from ...conftest import write_photos

ODD_NAMES = ("_hidden", r"$\frac$", "a byte \udcff", "a name far too long for any label that stands beside a picture")


def pixels(path: Path) -> np.ndarray:
    """`(H, W, 3)` of a PNG file."""
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def check_nothing_is_cut(path: Path) -> None:
    """A PNG of sensible size with something drawn, all of it inside a white margin."""
    drawn = (pixels(path) != 255).any(axis=2)
    assert 300 < min(drawn.shape) <= max(drawn.shape) < 2000
    assert 0.005 < drawn.mean() < 0.9
    inner = drawn.copy()
    inner[5:-5, 5:-5] = False
    assert not inner.any()


def blobs(rows: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features of classes far apart, and labels."""
    random = np.random.default_rng(seed)
    labels = np.arange(rows) % classes
    features = 5 * np.eye(classes, 12)[labels] + random.standard_normal((rows, 12)) * 0.3
    return features.astype(np.float32), labels


def test_confusions_equal_scikit_learns() -> None:
    from sklearn.metrics import confusion_matrix

    random = np.random.default_rng(0)
    actual, predicted = random.integers(0, 6, 200), random.integers(0, 5, 200)
    assert confusion_counts(actual, predicted, 6).tolist() == confusion_matrix(actual, predicted).tolist()
    assert confusion_counts(np.array([0, 0, 1]), np.array([0, 2, 1]), 3).tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 0]]


@pytest.mark.parametrize("wrong", [-1, 3])
def test_a_class_without_a_name(wrong: int, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected 0 to 2"):
        confusion_plot(tmp_path / "a.png", np.array([0, 1]), np.array([0, wrong]), ["a", "b", "c"], "title")
    with pytest.raises(DataError, match="expected 0 to 2"):
        feature_map_plot(tmp_path / "a.png", np.eye(9, dtype=np.float32), np.full(9, wrong), list("abc"), "title", 0)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("classes", [2, 4, 20, 21, 41, 100])
def test_confusions_of_few_and_of_many_classes(classes: int, tmp_path: Path) -> None:
    names = [f"{ODD_NAMES[i % 4]}{i}" for i in range(classes)]
    actual = np.arange(3 * classes) % (classes - 1)  # the last class has no image
    confusion_plot(
        tmp_path / "new" / "right.png", actual, actual, names, "a title of many words, \udcff and $\\frac$ " * 5
    )
    check_nothing_is_cut(tmp_path / "new" / "right.png")


def test_the_cells_drawn_are_the_shares(tmp_path: Path) -> None:
    """Of 30 classes, so that no count is written in a cell: a lone class that is always wrong moves its cell."""
    names = [str(i) for i in range(30)]
    actual = np.repeat(np.arange(30), 4)
    wrong = np.where(actual == 3, 20, actual)
    confusion_plot(tmp_path / "right.png", actual, actual, names, "title")
    confusion_plot(tmp_path / "wrong.png", actual, wrong, names, "title")
    right, moved = pixels(tmp_path / "right.png").astype(int), pixels(tmp_path / "wrong.png").astype(int)
    rows, columns = np.nonzero((right != moved).any(axis=2))
    lighter = (moved - right).sum(axis=2)[rows, columns] > 0
    assert np.ptp(rows) < np.ptp(columns) / 10  # one row of cells
    assert columns[lighter].max() < columns[~lighter].min()  # from the diagonal to the right of it
    cell = np.ptp(rows) + 1
    assert columns[~lighter].mean() - columns[lighter].mean() == pytest.approx(17 * cell, rel=0.1)


def test_neighbors(tmp_path: Path) -> None:
    known = {k: Figure(value=0.8, low=0.75, high=0.85) for k in (20, 1, 200)}
    neighbors_plot(tmp_path / "known.png", known, "title")
    check_nothing_is_cut(tmp_path / "known.png")
    neighbors_plot(tmp_path / "bare.png", {5: Figure(value=1.0)}, "title")
    check_nothing_is_cut(tmp_path / "bare.png")
    neighbors_plot(tmp_path / "perfect.png", {k: Figure(value=1.0, low=1.0, high=1.0) for k in (1, 20)}, "title")
    check_nothing_is_cut(tmp_path / "perfect.png")
    neighbors_plot(tmp_path / "sorted.png", dict(sorted(known.items())), "title")
    assert (tmp_path / "sorted.png").read_bytes() == (tmp_path / "known.png").read_bytes()
    with pytest.raises(DataError, match="needs at least one accuracy"):
        neighbors_plot(tmp_path / "none.png", {}, "title")


def test_a_map_keeps_classes_apart_and_is_the_same_for_the_same_seed() -> None:
    features, labels = blobs(90, 3)
    places = feature_map(features, 0)
    assert places.shape == (90, 2)
    distance = np.linalg.norm(places[:, None] - places, axis=2)
    np.fill_diagonal(distance, np.inf)
    assert (labels[distance.argmin(axis=1)] == labels).all()
    np.testing.assert_array_equal(feature_map(features, 0), places)


def test_maps_of_little() -> None:
    assert np.isfinite(feature_map(blobs(5, 2)[0], 0)).all()
    assert not feature_map(np.ones((30, 8), np.float32), 0).any()
    assert not feature_map(np.zeros((30, 8), np.float32), 0).any()
    for shape in ((4, 8), (30, 1)):
        with pytest.raises(DataError, match="N >= 5 and D >= 2"):
            feature_map(np.ones(shape, np.float32), 0)


@pytest.mark.parametrize("classes", [4, 12, 30])
def test_the_map_is_drawn(classes: int, tmp_path: Path) -> None:
    features, labels = blobs(60, classes)
    names = [f"{ODD_NAMES[i % 4]}{i}" for i in range(classes)]
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        feature_map_plot(tmp_path / name, features, labels, names, "a $ title", seed)
        check_nothing_is_cut(tmp_path / name)
    one, two, three = (tmp_path / name for name in ("one", "two", "three"))
    assert one.read_bytes() == two.read_bytes() != three.read_bytes()


def test_a_map_shows_no_more_than_it_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(plots, "feature_map", lambda features, seed: seen.append(features) or features[:, :2])
    features, labels = blobs(2500, 3)
    feature_map_plot(tmp_path / "a.png", features, labels, ["a", "b", "c"], "title", 0)
    assert seen[0].shape == (2000, 12)
    assert len(np.unique(seen[0], axis=0)) == 2000


def test_nearest_others_by_the_naive_loop() -> None:
    rows = np.random.default_rng(0).standard_normal((30, 4)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    for query in range(30):
        others = sorted((row for row in range(30) if row != query), key=lambda row: -float(rows[row] @ rows[query]))
        assert nearest_others(rows, query, 7) == others[:7]
        assert nearest_others(rows, query, 99) == others


def test_queries_are_of_different_classes() -> None:
    labels = np.array([0, 1, 1, 2, 2, 2, 3, 3, 4])  # one image of 0 and of 4: nothing to find
    assert [int(labels[row]) for row in drawn_queries(labels, 8, 0)] == [1, 2, 3]
    assert len(drawn_queries(labels, 2, 0)) == 2
    assert drawn_queries(labels, 8, 5) == drawn_queries(labels, 8, 5)
    assert len({tuple(drawn_queries(labels, 2, seed)) for seed in range(20)}) > 5
    with pytest.raises(DataError, match="needs a class with at least two images"):
        drawn_queries(np.arange(4), 8, 0)


@pytest.fixture
def photos(tmp_path: Path) -> ImageFolder:
    """Six photos of each of two classes."""
    return image_folder(write_photos(tmp_path / "photos", 12))


def tile(sheet: np.ndarray, line: int, column: int) -> np.ndarray:
    """A tile with its frame."""
    outer = tiles.TILE_PX + 2 * tiles.FRAME_PX
    top = tiles.GAP_PX + line * (outer + tiles.CAPTION_PX + tiles.GAP_PX)
    left = tiles.GAP_PX + column * (outer + tiles.GAP_PX) + tiles.GAP_PX * (column > 0)
    return sheet[top : top + outer, left : left + outer]


def test_right_hits_are_framed_green_and_wrong_ones_red(photos: ImageFolder, tmp_path: Path) -> None:
    features = np.eye(2, dtype=np.float32)[photos.labels] + 0.1
    features[0] = (0.1, 1.1)  # the first of class a looks like one of b
    retrieval_sheet(tmp_path / "sheet.png", photos, features, photos.labels, 0, hits=11)
    sheet = pixels(tmp_path / "sheet.png")
    rows = features / np.linalg.norm(features, axis=1, keepdims=True)
    badges: dict[bool, set[bytes]] = {True: set(), False: set()}
    for line, query in enumerate(drawn_queries(photos.labels, 8, 0)):
        frames = tile(sheet, line, 0)
        assert (frames[[0, -1, -1], [0, 0, -1]] == ImageColor.getrgb(tiles.QUERY)).all()
        for column, row in enumerate(nearest_others(rows, query, 11), 1):
            shown, right = tile(sheet, line, column), bool(photos.labels[row] == photos.labels[query])
            expected = ImageColor.getrgb(tiles.RIGHT if right else tiles.WRONG)
            assert (shown[[0, -1, -1], [0, 0, -1]] == expected).all()
            badges[right].add((shown[:20, -20:] == 255).all(axis=2).tobytes())
    assert len(badges[True]) == len(badges[False]) == 1
    assert badges[True] != badges[False]  # a tick and a cross, for those who see no difference of color
    assert sheet.shape[0] == 2 * (tiles.TILE_PX + 2 * tiles.FRAME_PX + tiles.CAPTION_PX + tiles.GAP_PX) + tiles.GAP_PX


def test_the_sheet_is_the_same_for_the_same_seed(photos: ImageFolder, tmp_path: Path) -> None:
    features = np.random.default_rng(0).standard_normal((12, 5)).astype(np.float32)
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        retrieval_sheet(tmp_path / name, photos, features, photos.labels, seed, hits=3)
    one, two, three = ((tmp_path / name).read_bytes() for name in ("one", "two", "three"))
    assert one == two != three


@pytest.mark.parametrize(("module", "library"), [("matplotlib", "matplotlib"), ("sklearn", "scikit-learn")])
def test_without_the_libraries(module: str, library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    features, labels = blobs(20, 2)
    with pytest.raises(MissingDependencyError, match=rf"{library} is required to draw plots.*mvmr-zoo\[plots\]"):
        feature_map_plot(tmp_path / "a.png", features, labels, ["a", "b"], "title", 0)
