from __future__ import annotations

import io
import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mvmr_zoo.datasets import open_images
from mvmr_zoo.errors import DataError, ImageError


def png(value: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (value, 0, 0)).save(file, "png")
    return file.getvalue()


def write(path: Path, values: list[int], *, image: str = "img", names: list[str] | None = None, **columns: Any) -> None:
    """A file as Hugging Face's `datasets` writes it."""
    table = pa.table({image: [{"bytes": png(value), "path": None} for value in values], **columns})
    features: dict[str, Any] = {image: {"_type": "Image"}}
    if names:
        features["label"] = {"_type": "ClassLabel", "names": names}
    metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    pq.write_table(table.replace_schema_metadata(metadata), path)


def test_shards_in_order_with_names(tmp_path: Path) -> None:
    write(tmp_path / "b.parquet", [30], label=[1], names=["cat", "dog"])
    write(tmp_path / "a.parquet", [10, 20], label=[0, 1], names=["cat", "dog"])
    images = pickle.loads(pickle.dumps(open_images(f"parquet:{tmp_path}")))
    assert images.class_names == ["cat", "dog"]
    assert images.labels.tolist() == [0, 1, 1]
    assert [np.asarray(images.image(i))[0, 0, 0] for i in range(3)] == [10, 20, 30]
    assert images.describe(2) == "row 2"


def test_the_label_column_may_be_chosen(tmp_path: Path) -> None:
    path = tmp_path / "c.parquet"
    write(path, [1, 2], fine_label=[7, 3], coarse_label=[1, 0])
    assert open_images(f"parquet:{path}").labels.tolist() == [7, 3]
    coarse = open_images(f"parquet:{path}#coarse_label")
    assert coarse.labels.tolist() == [1, 0]
    assert coarse.class_names == ["0", "1"]
    with pytest.raises(DataError, match="no column color; it has img, fine_label"):
        open_images(f"parquet:{path}#color")


def test_labels_may_be_names(tmp_path: Path) -> None:
    write(tmp_path / "x.parquet", [1, 2, 3], label=["dog", None, "cat"])
    images = open_images(f"parquet:{tmp_path / 'x.parquet'}")
    assert images.class_names == ["cat", "dog"]
    assert images.labels.tolist() == [1, -1, 0]
    write(tmp_path / "y.parquet", [1, 2], label=[0.5, 1.5])
    with pytest.raises(DataError, match="must be either all numbers or all names"):
        open_images(f"parquet:{tmp_path / 'y.parquet'}")


def test_images_without_labels(tmp_path: Path) -> None:
    write(tmp_path / "x.parquet", [1, 2], image="picture")
    images = open_images(f"parquet:{tmp_path / 'x.parquet'}")
    assert images.labels.tolist() == [-1, -1]
    assert images.class_names == []


def test_the_fingerprint_is_the_images(tmp_path: Path) -> None:
    for name, values in (("a", [1, 2]), ("b", [1, 2]), ("c", [2, 1])):
        write(tmp_path / f"{name}.parquet", values)
    a, b, c = (open_images(f"parquet:{tmp_path / name}.parquet").fingerprint for name in "abc")
    assert a == b != c


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a Parquet file"):
        open_images(f"parquet:{tmp_path}")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"broken\.parquet cannot be read as Parquet"):
        open_images(f"parquet:{tmp_path / 'broken.parquet'}")
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "text.parquet")
    with pytest.raises(DataError, match="columns text; expected an image column"):
        open_images(f"parquet:{tmp_path / 'text.parquet'}")
    pq.write_table(pa.table({"img": [b"no image", None]}), tmp_path / "rows.parquet")
    images = open_images(f"parquet:{tmp_path / 'rows.parquet'}")
    for row in range(2):
        with pytest.raises(ImageError, match=f"rows row {row}"):
            images.image(row)
    write(tmp_path / "few.parquet", [1], label=[5], names=["cat"])
    with pytest.raises(DataError, match="label 5, but only 1 class name"):
        open_images(f"parquet:{tmp_path / 'few.parquet'}")


def test_cifar10_as_it_is_published() -> None:
    path = Path(os.environ.get("MVMR_DATA", "")) / "cifar10" / "test-00000-of-00001.parquet"
    if not os.environ.get("MVMR_DATA") or not path.exists():
        pytest.skip("MVMR_DATA names no folder with cifar10")
    images = open_images(f"parquet:{path}")
    assert len(images) == 10000
    assert np.bincount(images.labels).tolist() == [1000] * 10
    assert images.class_names[:2] == ["airplane", "automobile"]
    assert images.image(0).size == (32, 32)
