"""Images in Parquet files, in the layout of Hugging Face data sets: encoded bytes, and a label."""

from __future__ import annotations

import functools
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mvmr_zoo._io import check_regular, read_regular
from mvmr_zoo.errors import DataError, ImageError, one_line
from mvmr_zoo.images import file_reason, read_image, read_photo

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray
    from PIL import Image

IMAGE_COLUMNS = ("image", "img")
LABEL_COLUMNS = ("label", "labels", "fine_label")

_MOST_CLASSES = 1_000_000


@dataclass(frozen=True)
class ParquetImages:
    """An `ImageSet` of rows. The encoded images are read once per process, and kept as Arrow buffers.

    Args:
        shards: The Parquet files, in order.
        image_column: A struct of `bytes` and `path`, or plain binary.
        labels: `(N,)` int64, -1 where there is none.
        class_names: Names of the labels in the `huggingface` metadata of the schema, else their numbers.
        name: Display name.
    """

    shards: tuple[Path, ...]
    image_column: str
    labels: NDArray[np.int64]
    class_names: list[str]
    name: str

    def __len__(self) -> int:
        return len(self.labels)

    def image(self, index: int, *, min_px: int | None = None) -> Image.Image:
        """The upright RGB image of row `index`. Raises ImageError."""
        name = f"{self.name} {self.describe(index)}"
        content, path = self._row(index)
        if content is None and path:
            return read_image(self.shards[0].parent / path, min_px=min_px)
        if content is None:
            raise ImageError(name, "open", "the row contains no image")
        return read_photo(name, content=content, min_px=min_px).image

    @functools.cached_property
    def files(self) -> list[Path]:
        """The shards, and the files that rows without bytes name."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if not pa.types.is_struct(self._images.type):
            return [*self.shards]
        without = np.flatnonzero(pc.is_null(pc.struct_field(self._images, "bytes")).to_numpy())
        named = [path for _, path in map(self._row, without.tolist()) if path]
        return [*self.shards, *(self.shards[0].parent / path for path in named)]

    def describe(self, index: int) -> str:
        """`row N`."""
        return f"row {index}"

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 of every image's bytes. Raises DataError."""
        digest = hashlib.sha256()
        for index in range(len(self)):
            content, path = self._row(index)
            if content is None and path:
                file = self.shards[0].parent / path
                try:
                    content = read_regular(file)
                except OSError as error:
                    raise DataError(f"{file} cannot be read: {file_reason(error)}.") from None
            digest.update(hashlib.sha256(content or b"").digest())
        return digest.hexdigest()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.shards, self.image_column, self.labels, self.class_names, self.name)

    def _row(self, index: int) -> tuple[bytes | None, str | None]:
        value = self._images[int(index)].as_py()
        if isinstance(value, dict):
            return value.get("bytes"), value.get("path")
        return value, None

    @functools.cached_property
    def _images(self) -> pa.ChunkedArray:
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = [pq.read_table(path, columns=[self.image_column], memory_map=True) for path in self.shards]
        return pa.concat_tables(columns).column(self.image_column)


def parquet_images(
    path: str | os.PathLike[str], label_column: str | None = None, *, pattern: str = "*.parquet"
) -> ParquetImages:
    """The images of one Parquet file, or of a folder of them, sorted by name.

    Args:
        path: Path of the file or folder.
        pattern: Shell pattern of the file names in a folder.
        label_column: None takes the first of `label`, `labels`, `fine_label` that is there.

    Raises:
        DataError: A file is missing or damaged, or has no images or no such label column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    base = Path(path)
    files = tuple(sorted(base.glob(pattern))) if base.is_dir() else (base,)
    if not files or not files[0].is_file():
        raise DataError(f"{base} is not a Parquet file or a folder that contains one.")
    labels: list[int | str | None] = []
    image_column, label, class_names = "", label_column, [""]
    for file in files:
        try:
            schema = pq.read_schema(check_regular(file))
            image_column = _image_column(file, schema)
            label = _label_column(file, schema, label_column)
            rows = pq.read_metadata(file).num_rows
            labels += pq.read_table(file, columns=[label]).column(label).to_pylist() if label else [None] * rows
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{file} cannot be read as Parquet: {one_line(error)}") from None
        class_names = _class_names(schema, label)
    if not labels:
        raise DataError(f"{base} contains no rows.")
    if all(value is None or isinstance(value, str) for value in labels) and any(labels):
        class_names = sorted({value for value in labels if isinstance(value, str)})
        labels = [None if value is None else class_names.index(str(value)) for value in labels]
    if not all(value is None or isinstance(value, int) for value in labels):
        raise DataError(f"{base}: the labels in column {label} must be either all numbers or all names.")
    joined = np.asarray([-1 if value is None else value for value in labels], np.int64)
    if joined.max() >= _MOST_CLASSES:
        raise DataError(f"{base} contains the label {joined.max()} in column {label}; expected class numbers from 0.")
    if joined.max() >= 0 and not class_names:
        class_names = [str(number) for number in range(int(joined.max()) + 1)]
    if joined.max() >= len(class_names) and joined.max() >= 0:
        raise DataError(f"{base} contains the label {joined.max()}, but only {len(class_names)} class names.")
    name = base.name if base.is_dir() else base.stem
    return ParquetImages(files, image_column, joined, class_names if joined.max() >= 0 else [], name)


def _image_column(file: Path, schema: pa.Schema) -> str:
    features = _features(schema)
    declared = [name for name, feature in features.items() if feature.get("_type") == "Image"]
    for name in (*declared, *IMAGE_COLUMNS):
        if name in schema.names:
            return name
    raise DataError(f"{file} has the columns {', '.join(schema.names)}; expected an image column named image or img.")


def _label_column(file: Path, schema: pa.Schema, requested: str | None) -> str | None:
    if requested is not None and requested not in schema.names:
        raise DataError(f"{file} has no column {requested}; it has {', '.join(schema.names)}.")
    return requested or next((name for name in LABEL_COLUMNS if name in schema.names), None)


def _class_names(schema: pa.Schema, label: str | None) -> list[str]:
    return list(_features(schema).get(label or "", {}).get("names", []))


def _features(schema: pa.Schema) -> dict[str, dict[str, Any]]:
    try:
        info = json.loads((schema.metadata or {})[b"huggingface"])
        features: dict[str, dict[str, Any]] = info["info"]["features"]
        return {name: feature for name, feature in features.items() if isinstance(feature, dict)}
    except (KeyError, ValueError, TypeError):
        return {}
