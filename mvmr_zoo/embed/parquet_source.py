"""A column of a Parquet file with paths, encoded images, or Hugging Face structs of `bytes` and `path`."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mvmr_zoo.embed.inputs import InputList, file_stamp, list_names
from mvmr_zoo.errors import DataError, one_line
from mvmr_zoo.images import PhotoFile

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

Kind = Literal["paths", "images", "structs"]

COLUMNS = ("image_path", "image", "img")
"""Default column names, in order of preference."""

_FOOTER_TAIL = 8
_BUFFER_BYTES = 1 << 20
_NAME_ROWS, _IMAGE_ROWS = 16_384, 64


@dataclass(frozen=True)
class ParquetSource:
    """The rows of one column.

    Args:
        file: Absolute path.
        column: Column name.
        kind: `paths` (relative to the folder of the file), `images` (encoded), or `structs` of bytes and path
            (without bytes, the path is used as in `paths`).
    """

    file: str
    column: str
    kind: Kind

    @property
    def name(self) -> str:
        """Display name."""
        return f"parquet:{self.file}:{self.column}"

    def stamp(self) -> object:
        """Inode, size and mtime of the file."""
        return file_stamp(self.file)

    def listed(self) -> InputList:
        """Count of rows, and digest of the paths and of the footer, which holds the position of every page."""
        footer = b"" if self.kind == "paths" else _footer(self.file)
        if self.kind == "images":
            with _opened(self.file) as table:
                return InputList(table.metadata.num_rows, hashlib.sha256(footer).hexdigest())
        return list_names(self._names(), seed=footer)

    def inputs(self, first: int, last: int) -> Iterator[PhotoFile]:
        """Inputs `first` (inclusive) to `last` (exclusive). Reads only their row groups."""
        with _opened(self.file) as table:
            start, groups = _groups(table, first, last)
            rows = _NAME_ROWS if self.kind == "paths" else _IMAGE_ROWS
            for batch in table.iter_batches(rows, row_groups=groups, columns=[self.column]):
                keep = batch.slice(min(max(first - start, 0), len(batch)), max(last - max(start, first), 0))
                yield from self._read(keep, max(start, first))
                start += len(batch)
                if start >= last:
                    return

    def _read(self, batch: pa.RecordBatch, first: int) -> Iterator[PhotoFile]:
        values = batch.column(0)
        none: list[bytes | None] = [None] * len(batch)
        paths = _bytes(values if self.kind == "paths" else _field(values, "path")) if self.kind != "images" else none
        contents = (
            _bytes(values if self.kind == "images" else _field(values, "bytes")) if self.kind != "paths" else none
        )
        for row, (path, content) in enumerate(zip(paths, contents, strict=True), start=first):
            if content is not None:
                yield PhotoFile(os.fsdecode(path) if path else f"{self.file}#{row}", content)
            elif path:
                yield PhotoFile(os.fspath(Path(self.file).parent / os.fsdecode(path)))
            else:
                yield PhotoFile(f"{self.file}#{row}", problem="the row is empty")

    def _names(self) -> Iterator[bytes]:
        wanted = self.column if self.kind == "paths" else f"{self.column}.path"
        with _opened(self.file) as table:
            for batch in table.iter_batches(_NAME_ROWS, columns=[wanted]):
                if not batch.num_columns:  # structs of bytes alone
                    yield from [b""] * len(batch)
                    continue
                values = batch.column(0)
                for path in _bytes(values if self.kind == "paths" else _field(values, "path")):
                    yield path or b""


def parquet_source(named: str) -> ParquetSource:
    """Open `FILE` or `FILE:COLUMN`.

    Raises:
        DataError: The file does not exist or is damaged, or the column does not exist.
    """
    file, column = os.path.expanduser(named), None
    if not os.path.exists(file) and ":" in named:
        file, _, column = file.rpartition(":")
    if not Path(file).is_file():
        raise DataError(f"{file} is not a file. Use parquet:FILE or parquet:FILE:COLUMN.")
    file = os.path.realpath(file)
    with _opened(file) as table:
        schema = table.schema_arrow
    column = column or next((name for name in COLUMNS if name in schema.names), None)
    if column is None or column not in schema.names:
        raise DataError(
            f"{file} has the columns {', '.join(schema.names)}; expected {column or ' or '.join(COLUMNS)}. "
            "Name the column of paths or images with parquet:FILE:COLUMN."
        )
    return ParquetSource(file, column, _kind(file, column, schema.field(column).type))


def _kind(file: str, column: str, type_: pa.DataType) -> Kind:
    from pyarrow import types

    if types.is_dictionary(type_):
        type_ = type_.value_type
    if types.is_string(type_) or types.is_large_string(type_):
        return "paths"
    if types.is_binary(type_) or types.is_large_binary(type_):
        return "images"
    if types.is_struct(type_) and {"bytes", "path"} & {field.name for field in type_}:
        return "structs"
    raise DataError(
        f"{file}: the column {column} has the type {one_line(type_, 60)}; expected paths as strings, encoded images, "
        "or structs of bytes and path."
    )


def _bytes(values: pa.Array) -> list[bytes | None]:
    """Convert strings or bytes to bytes."""
    import pyarrow as pa

    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    converted: list[bytes | None] = values.cast(pa.large_binary()).to_pylist()
    return converted


def _field(structs: pa.StructArray, name: str) -> pa.Array:
    """A field of structs; null if the struct is null or has no such field."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if structs.type.get_field_index(name) < 0:
        return pa.nulls(len(structs), pa.large_binary())
    return pc.struct_field(structs, name)


def _groups(table: pq.ParquetFile, first: int, last: int) -> tuple[int, list[int]]:
    """The number of the first row in the row groups that hold rows `first` to `last`, and these row groups."""
    start, row = 0, 0
    groups: list[int] = []
    for group in range(table.num_row_groups):
        rows = table.metadata.row_group(group).num_rows
        if row < last and row + rows > first:
            start = start if groups else row
            groups.append(group)
        row += rows
    return start, groups


def _footer(file: str) -> bytes:
    """The size of a Parquet file, and its last bytes: the footer, the length of the footer, and the magic number."""
    with open(file, "rb") as opened:
        size = opened.seek(-_FOOTER_TAIL, os.SEEK_END) + _FOOTER_TAIL
        length = int.from_bytes(opened.read(4), "little")
        opened.seek(size - _FOOTER_TAIL - length)
        return size.to_bytes(8, "big") + opened.read(length)


@contextmanager
def _opened(file: str) -> Iterator[pq.ParquetFile]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with open(file, "rb") as opened, pq.ParquetFile(opened, buffer_size=_BUFFER_BYTES) as table:
            yield table
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{file} cannot be read as Parquet: {one_line(error)}") from None
