"""Embeddings as Parquet files ("parts"), written by `--engine ray` and read by `gather_parquet`.

FOLDER/
parts/*.parquet   one row per input, unordered: `image_path`, `image_path_bytes`, `vector`, `stage`, `reason`
manifest.json     the encoder, and the number of rows of each part; written last

`vector` is a list of D float32 of unit length, null if the image failed; `stage` and `reason` are null if it
did not. `image_path` and `image_path_bytes` are as in an embeddings folder.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mvmr_zoo._io import write_whole
from mvmr_zoo.embed.filesystem import Place, explained, open_place
from mvmr_zoo.embed.folder import MANIFEST_FILE, EmbeddingsFacts, path_columns
from mvmr_zoo.errors import DataError, printable
from mvmr_zoo.images import PhotoFile

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa
    from numpy.typing import NDArray

    from mvmr_zoo.inference import EmbeddedBatch

PARTS_FOLDER = "parts"

_SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class PartsManifest:
    """Contents of a folder of parts.

    Args:
        facts: The encoder.
        rows: Number of rows of each part, by file name.
        reasons: Number of failed inputs for each reason.
    """

    facts: EmbeddingsFacts
    rows: dict[str, int]
    reasons: Counter[str]

    @property
    def images(self) -> int:
        """Number of inputs, including failed ones."""
        return sum(self.rows.values())


def claim_parts(output: str) -> Place:
    """Create the output folder and delete the parts of an interrupted run. Raises DataError if it holds other files."""
    place = open_place(output)
    existing = place.listed()
    if other := [name for name in existing if name != PARTS_FOLDER]:
        raise DataError(f"{place.name} already contains {other[0]}. Use a new --output.")
    with explained(place.name):
        place.filesystem.create_dir(place.below(PARTS_FOLDER), recursive=True)
        if existing:
            place.filesystem.delete_dir_contents(place.below(PARTS_FOLDER))
    return place


def part_table(inputs: list[PhotoFile], batches: Iterable[EmbeddedBatch]) -> pa.Table:
    """The table of a part, one row per input, in the order of `inputs`.

    Args:
        inputs: N inputs.
        batches: Results for these inputs, in order.
    """
    import pyarrow as pa

    vectors: list[NDArray[np.float32] | None] = [None] * len(inputs)
    stages: list[str | None] = [None] * len(inputs)
    reasons: list[str | None] = [None] * len(inputs)
    for batch in batches:
        for row, vector in zip(batch.rows, batch.vectors, strict=True):
            vectors[row] = vector
        for failure in batch.failures:
            stages[failure.row], reasons[failure.row] = failure.stage, printable(failure.reason)
    return pa.table(
        path_columns([item.path for item in inputs])
        | {
            "vector": pa.array(vectors, pa.list_(pa.float32())),
            "stage": pa.array(stages, pa.string()),
            "reason": pa.array(reasons, pa.string()),
        }
    )


def finish_parts(place: Place, facts: EmbeddingsFacts, images: int) -> PartsManifest:
    """Count the rows of all parts, and write the manifest.

    Args:
        place: The folder that holds `parts/`.
        facts: The encoder.
        images: Expected number of rows.

    Raises:
        DataError: The number of rows differs.
    """
    import pyarrow.parquet as pq

    rows: dict[str, int] = {}
    reasons: Counter[str] = Counter()
    parts = dataclasses.replace(place, path=place.below(PARTS_FOLDER))
    with explained(place.name):
        for name in parts.listed():
            with place.open_file(parts.below(name)) as file, pq.ParquetFile(file) as table:
                rows[name] = table.metadata.num_rows
                for batch in table.iter_batches(columns=["reason"]):
                    reasons.update(batch.column(0).drop_null().to_pylist())
    manifest = PartsManifest(facts=facts, rows=rows, reasons=reasons)
    if manifest.images != images:
        raise DataError(
            f"{place.name} contains {manifest.images} rows for {images} images. All machines of the cluster must be "
            "able to write to it. Use a shared folder or a bucket."
        )
    _write_manifest(place, manifest)
    return manifest


def read_parts(place: Place) -> PartsManifest:
    """Read the manifest of a folder of parts. Raises DataError if it is missing or damaged."""
    from pyarrow.fs import FileType

    path = place.below(MANIFEST_FILE)
    with explained(place.name):
        if place.filesystem.get_file_info(path).type != FileType.File:
            raise DataError(
                f"{place.name} has no {MANIFEST_FILE}. It was not created by `mvmr-zoo embed --engine ray`, or the run "
                "was interrupted. Run that command again."
            )
        with place.filesystem.open_input_stream(path) as file:
            content = file.read()
    try:
        values = json.loads(content)
        if values["schema"] != _SCHEMA:
            raise DataError(
                f"{place.name}/{MANIFEST_FILE} has schema {values['schema']}; this release reads {_SCHEMA}."
            )
        rows = {str(name): int(count) for name, count in values["parts"].items()}
        return PartsManifest(facts=EmbeddingsFacts.from_json(values), rows=rows, reasons=Counter(values["failed"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DataError(
            f"{place.name}/{MANIFEST_FILE} is damaged, or does not describe Parquet parts. Use a folder that "
            "`mvmr-zoo embed --engine ray` created."
        ) from None


def _write_manifest(place: Place, manifest: PartsManifest) -> None:
    values = {"schema": _SCHEMA} | dataclasses.asdict(manifest.facts)
    text = json.dumps(values | {"parts": manifest.rows, "failed": manifest.reasons}, indent=2) + "\n"
    if place.is_local:
        write_whole(place.below(MANIFEST_FILE), text)
        return
    with explained(place.name), place.filesystem.open_output_stream(place.below(MANIFEST_FILE)) as file:
        file.write(text.encode())
