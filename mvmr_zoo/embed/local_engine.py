"""`embed_source`: writes missing shards, then the manifest."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mvmr_zoo._io import check_regular, open_regular
from mvmr_zoo.embed.failures import count_reasons, failures_file, write_failures
from mvmr_zoo.embed.folder import read_counts, shard_files, write_manifest, write_shard
from mvmr_zoo.embed.inputs import Source
from mvmr_zoo.embed.plan import FOLDERS, Plan, claimed, facts_of, settle_plan
from mvmr_zoo.errors import ConfigError, DataError, printable
from mvmr_zoo.images import PhotoFile
from mvmr_zoo.inference import Failure, Model

SHARD_ROWS = 100_000

Progress = Callable[[int, int], None]
"""Called with the number of inputs done and the total."""


@dataclass(frozen=True, kw_only=True)
class BulkReport:
    """Contents of the folder after a run.

    Args:
        images: Number of inputs.
        embedded: Number of rows.
        shards: Number of shards.
        made: Shards written by this run.
        was_finished: Whether the folder was already finished, so that the run did nothing.
        reasons: Number of failed inputs for each reason; empty if `was_finished`.
    """

    images: int
    embedded: int
    shards: int
    made: int
    was_finished: bool = False
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def failed(self) -> int:
        """Number of inputs without a row."""
        return self.images - self.embedded


class _Shard(NamedTuple):
    """Number of rows of a shard, and of its failed inputs for each reason."""

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
    """Write unit vectors of every input to an embeddings folder, and failed inputs to `failures/failures_N.parquet`.

    Existing shards are kept, so that an interrupted run resumes. The vectors of one shard are held in memory, at two
    bytes per feature.

    Args:
        source: The inputs.
        model: The encoder.
        folder: New, empty, or from an interrupted run of the same call.
        shard_rows: Inputs per shard.
        batch_size: Images per inference call.
        progress: Called after every batch.

    Raises:
        ConfigError: `shard_rows` or `batch_size` is below 1.
        DataError: The source is empty or cannot be read, or the folder has another encoder or list of inputs.
    """
    if shard_rows < 1 or batch_size < 1:
        raise ConfigError(f"shard_rows is {shard_rows} and batch_size is {batch_size}; expected at least 1 of each.")
    base, stamp, inputs = Path(folder), source.stamp(), source.listed()
    if not inputs.count:
        raise DataError(f"{source.name} contains no images.")
    with claimed(base) as check_claim:
        plan = settle_plan(
            base, Plan(facts=facts_of(model), source=printable(source.name), inputs=inputs, shard_rows=shard_rows)
        )
        finished = read_counts(base)
        if finished is not None:
            return BulkReport(
                images=inputs.count, embedded=sum(finished), shards=len(finished), made=0, was_finished=True
            )
        for name in FOLDERS:
            (base / name).mkdir(exist_ok=True)
        work = _Work(base, plan, source, stamp, model, batch_size, check_claim)
        shards: list[_Shard] = []
        made = 0
        for number in range(plan.shards):
            shard = work.read(number)
            if shard is None:
                shard = work.make(number, progress)
                made += 1
            shards.append(shard)
            progress(plan.bounds(number)[1], inputs.count)
        names = [plan.name(number) for number in range(plan.shards)]
        files = [path for name in names for path in (*shard_files(base, name), failures_file(base, name))]
        counts = [shard.rows for shard in shards]
        check_claim()
        write_manifest(base, plan.facts, counts, files)
    reasons = sum((shard.reasons for shard in shards), Counter[str]())
    return BulkReport(images=inputs.count, embedded=sum(counts), shards=len(shards), made=made, reasons=reasons)


@dataclass(frozen=True)
class _Work:
    """Writes and reads the shards of a folder.

    Args:
        base: The folder.
        plan: Settings of the folder.
        source: The inputs.
        stamp: Stamp of the source when its inputs were listed.
        model: The encoder.
        batch_size: Images per inference call.
        check_claim: Raises DataError if the folder was deleted or replaced.
    """

    base: Path
    plan: Plan
    source: Source
    stamp: object
    model: Model
    batch_size: int
    check_claim: Callable[[], None]

    def make(self, number: int, progress: Progress) -> _Shard:
        """Embed the inputs of a shard and write it. The vectors are written last and mark the shard as complete."""
        first, last = self.plan.bounds(number)
        paths: list[str] = []

        def record_paths() -> Iterator[PhotoFile]:
            for item in self.source.inputs(first, last):
                paths.append(item.path)
                yield item

        vectors = np.empty((last - first, self.plan.facts.dim), np.float16)
        rows: list[int] = []
        failures: list[Failure] = []
        for batch in self.model.stream(record_paths(), batch_size=self.batch_size):
            if batch.rows:
                vectors[len(rows) : len(rows) + len(batch.rows)] = batch.vectors
            rows += batch.rows
            failures += batch.failures
            progress(first + len(rows) + len(failures), self.plan.inputs.count)
        if len(paths) != last - first or self.source.stamp() != self.stamp:
            raise DataError(
                f"{self.source.name} changed while it was being read. Use a copy that does not change, and a new "
                "--output."
            )
        named = [replace(failure, name=paths[failure.row], reason=printable(failure.reason)) for failure in failures]
        name = self.plan.name(number)
        self.check_claim()
        write_failures(self.base, name, named)
        write_shard(self.base, name, vectors[: len(rows)], [paths[row] for row in rows])
        return _Shard(len(rows), Counter(failure.reason for failure in named))

    def read(self, number: int) -> _Shard | None:
        """Counts of a complete shard; None if it is missing, damaged or incomplete."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        name = self.plan.name(number)
        array, table = shard_files(self.base, name)
        try:
            shape = np.load(check_regular(array), mmap_mode="r").shape
            with open_regular(table) as paths:
                rows = pq.read_metadata(paths).num_rows
            reasons = count_reasons(self.base, name)
        except (OSError, ValueError, EOFError, KeyError, pa.ArrowException):
            return None
        first, last = self.plan.bounds(number)
        whole = shape == (rows, self.plan.facts.dim) and rows + reasons.total() == last - first
        return _Shard(rows, reasons) if whole else None
