"""`embed_source`: makes the shards that are missing, then the manifest."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mvmr_zoo.bulk.inputs import Input, Source
from mvmr_zoo.bulk.plan import FOLDERS, Plan, claimed, settle_plan
from mvmr_zoo.embeddings import (
    EmbeddingsFacts,
    path_columns,
    read_counts,
    shard_files,
    write_manifest,
    write_shard,
    write_table,
)
from mvmr_zoo.errors import ConfigError, DataError, printable
from mvmr_zoo.features import Failure
from mvmr_zoo.model import Model

SHARD_ROWS = 100_000

Progress = Callable[[int, int], None]
"""Called with inputs done and inputs to do."""


@dataclass(frozen=True, kw_only=True)
class BulkReport:
    """What stands in the folder now.

    Args:
        images: inputs.
        embedded: rows.
        shards: how many there are.
        made: by this run; 0 where the folder was finished already.
        was_finished: whether it was, so that nothing was done.
        reasons: how many inputs failed for which reason; empty where nothing was done.
    """

    images: int
    embedded: int
    shards: int
    made: int
    was_finished: bool = False
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def failed(self) -> int:
        """Inputs without a row."""
        return self.images - self.embedded


class _Shard(NamedTuple):
    """Rows of a shard, and how many of its inputs failed for which reason."""

    rows: int
    reasons: Counter[str]


def embed_source(
    source: Source,
    model: Model,
    folder: str | os.PathLike[str],
    *,
    shard_rows: int = SHARD_ROWS,
    batch_size: int = 32,
    progress: Progress = lambda done, total: None,
) -> BulkReport:
    """Unit vectors of every input, in an embeddings folder with `failures/failures_N.parquet` for the others.

    Shards that are there already are kept: a run that is killed goes on where it was. A shard's vectors
    are held in memory, at two bytes a feature.

    Args:
        source: of the inputs.
        model: the encoder.
        folder: new, empty, or what the same call left.
        shard_rows: inputs a shard.
        batch_size: images an inference call.
        progress: told how far it is.

    Raises:
        ConfigError: `shard_rows` or `batch_size` is below 1.
        DataError: the source has no input or cannot be read, or the folder is made of something else.
    """
    if shard_rows < 1 or batch_size < 1:
        raise ConfigError(f"got shard_rows = {shard_rows}, batch_size = {batch_size}; expected at least 1 of each.")
    base, stamp, inputs = Path(folder), source.stamp(), source.listed()
    if not inputs.count:
        raise DataError(f"{source.name} lists no image.")
    facts = EmbeddingsFacts(
        model=printable(model.spec),
        weights_digest=model.weights_digest,
        preprocess_digest=model.preprocess.digest,
        dim=model.card.embedding_dim,
        normalized=True,
    )
    with claimed(base):
        plan = settle_plan(base, Plan(facts=facts, source=printable(source.name), inputs=inputs, shard_rows=shard_rows))
        finished = read_counts(base)
        if finished is not None:
            return BulkReport(
                images=inputs.count, embedded=sum(finished), shards=len(finished), made=0, was_finished=True
            )
        for name in FOLDERS:
            (base / name).mkdir(exist_ok=True)
        shards: list[_Shard] = []
        made = 0
        for number in range(plan.shards):
            shard = _read_shard(base, number, plan)
            if shard is None:
                shard = _make_shard(base, number, plan, source, model, batch_size, progress, stamp)
                made += 1
            shards.append(shard)
            progress(plan.bounds(number)[1], inputs.count)
        files = [
            path for number in range(plan.shards) for path in (*shard_files(base, number), _failures(base, number))
        ]
        counts = [shard.rows for shard in shards]
        write_manifest(base, plan.facts, counts, files)
    reasons = sum((shard.reasons for shard in shards), Counter[str]())
    return BulkReport(images=inputs.count, embedded=sum(counts), shards=len(shards), made=made, reasons=reasons)


def _make_shard(
    base: Path,
    number: int,
    plan: Plan,
    source: Source,
    model: Model,
    batch_size: int,
    progress: Progress,
    stamp: object,
) -> _Shard:
    """Embed the inputs of a shard and write it; the vectors come last, and say that it is whole."""
    first, last = plan.bounds(number)
    paths: list[str] = []

    def noted() -> Iterator[Input]:
        for each in source.inputs(first, last):
            paths.append(each.path)
            yield each

    vectors = np.empty((last - first, plan.facts.dim), np.float16)
    rows: list[int] = []
    failures: list[Failure] = []
    for batch in model.stream(noted(), batch_size=batch_size, decode=Input.decode):
        if batch.rows:
            vectors[len(rows) : len(rows) + len(batch.rows)] = batch.vectors
        rows += batch.rows
        failures += batch.failures
        progress(first + len(rows) + len(failures), plan.inputs.count)
    if len(paths) != last - first or source.stamp() != stamp:
        raise DataError(
            f"{source.name} changed while it was read. Give a copy that stays as it is, and a new --output."
        )
    reasons = [printable(failure.reason) for failure in failures]
    _write_failures(base, number, [paths[failure.row] for failure in failures], failures, reasons)
    write_shard(base, number, vectors[: len(rows)], [paths[row] for row in rows])
    return _Shard(len(rows), Counter(reasons))


def _read_shard(base: Path, number: int, plan: Plan) -> _Shard | None:
    """What a shard holds; None where it has to be made."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    array, table = shard_files(base, number)
    try:
        shape = np.load(array, mmap_mode="r").shape
        with table.open("rb") as paths, _failures(base, number).open("rb") as failures:
            rows = pq.read_metadata(paths).num_rows
            reasons = Counter[str](pq.read_table(failures).column("reason").to_pylist())
    except (OSError, ValueError, EOFError, KeyError, pa.ArrowException):
        return None
    first, last = plan.bounds(number)
    whole = shape == (rows, plan.facts.dim) and rows + reasons.total() == last - first
    return _Shard(rows, reasons) if whole else None


def _write_failures(base: Path, number: int, paths: list[str], failures: list[Failure], reasons: list[str]) -> None:
    import pyarrow as pa

    more = {"stage": [failure.stage for failure in failures], "reason": reasons}
    texts = {name: pa.array(values, pa.string()) for name, values in more.items()}
    write_table(_failures(base, number), pa.table(path_columns(paths) | texts))


def _failures(base: Path, number: int) -> Path:
    return base / "failures" / f"failures_{number}.parquet"
