"""Images of a shard that could not be embedded, in a Parquet file beside its vectors."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from mvmr_zoo._io import open_regular
from mvmr_zoo.embed.folder import path_columns, write_table
from mvmr_zoo.inference import Failure


def failures_file(base: Path, shard: str) -> Path:
    """Path of the failures file of a shard."""
    return base / "failures" / f"failures_{shard}.parquet"


def write_failures(base: Path, shard: str, failures: list[Failure]) -> None:
    """Write the failures of a shard atomically. The name of a failure is its path, decoded with `os.fsdecode`."""
    import pyarrow as pa

    columns = {"stage": [failure.stage for failure in failures], "reason": [failure.reason for failure in failures]}
    texts = {name: pa.array(values, pa.string()) for name, values in columns.items()}
    paths = path_columns([failure.name for failure in failures])
    write_table(failures_file(base, shard), pa.table(paths | texts))


def count_reasons(base: Path, shard: str) -> Counter[str]:
    """Number of failures per reason. Raises OSError, KeyError or a pyarrow error for a missing or damaged file."""
    import pyarrow.parquet as pq

    with open_regular(failures_file(base, shard)) as file:
        return Counter[str](pq.read_table(file).column("reason").to_pylist())
