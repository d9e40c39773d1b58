from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from mvmr_zoo.errors import ConfigError
from training.targets.representations import Pixels, build_representation, representation_digest


@pytest.mark.parametrize("kind", ["pixels", "local_deviation", "hog", "scattering"])
def test_an_image_is_represented_by_itself(kind: str, images: Tensor) -> None:
    representation = build_representation(kind, {})
    found = representation(images)
    assert found.shape[0] == 3
    assert found.dtype == torch.float32
    torch.testing.assert_close(representation(images[1:2]), found[1:2], rtol=1e-5, atol=1e-6)


class Halves:
    """A user's own, without options."""

    def __call__(self, images: Tensor) -> Tensor:
        return images.mean(dim=3).flatten(1)


def test_a_users_own_by_its_import_path(images: Tensor) -> None:
    own = build_representation("tests.training.targets.representations.test_registry:Halves", {})
    assert own(images).shape == (3, 3 * 24)
    assert representation_digest(own, {}) != representation_digest(Pixels(), {})


def test_the_digest_follows_every_file_of_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    scattering = build_representation("scattering", {})
    before = representation_digest(scattering, {})
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read(path) + b"#" * (path.name == "scattering_filters.py"))
    assert representation_digest(scattering, {}) != before


def test_the_digest_follows_the_options() -> None:
    options: list[dict[str, object]] = [{}, {"bins": 9}, {"mode": "hard"}]
    digests = {representation_digest(build_representation("hog", each), each) for each in options}
    assert len(digests) == 3
    assert representation_digest(build_representation("hog", {"bins": 24}), {"bins": 24}) in digests  # the default


@pytest.mark.parametrize(
    ("kind", "options", "says"),
    [
        ("hogg", {}, "Closest: hog"),
        ("hog", {"bin": 9}, "no option bin. It has: bins"),
        ("hog", {"bins": 9.5}, r"hog\.bins is 9\.5; expected a whole number"),
        ("hog", {"mode": "soft"}, r"hog\.mode is 'soft'; expected one of linear, hard, released"),
        ("local_deviation", {"window": 4}, r"local_deviation\.window is 4; expected odd"),
        ("scattering", {"scales": 0}, r"scattering\.scales is 0"),
        ("dct", {}, "No representation is named 'dct'"),
        ("nowhere.at_all:Name", {}, "cannot be imported"),
        ("math:pi", {}, "is a float; expected a class"),
        ("math:sqrt", {}, "expected a class"),
    ],
)
def test_what_cannot_be_built_is_refused(kind: str, options: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        build_representation(kind, options)
