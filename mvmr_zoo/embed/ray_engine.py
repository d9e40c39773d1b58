"""`embed_on_ray`: the photos of a folder or a bucket to Parquet parts, on every machine of a Ray cluster.

Ray reads the files and writes the Parquet; between them a pool of actors, each with its own copy of the encoder,
decodes and embeds by the functions of the local engine. The only file that imports ray.
"""

from __future__ import annotations

import importlib
import itertools
import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from mvmr_zoo.embed.filesystem import Place, explained
from mvmr_zoo.embed.folder import EmbeddingsFacts
from mvmr_zoo.embed.inputs import Input
from mvmr_zoo.embed.parquet_parts import PARTS_FOLDER, PartsManifest, claim_parts, finish_parts, part_table
from mvmr_zoo.embed.plan import facts_of
from mvmr_zoo.embed.shared_photos import SharedPhotos, shared_photos
from mvmr_zoo.errors import CheckpointError, ConfigError, DataError, MissingDependencyError, one_line
from mvmr_zoo.images import SUFFIXES
from mvmr_zoo.inference import Model, embed_stream
from mvmr_zoo.models import Device, load

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.fs import FileSystem
    from ray.data import Dataset

ROWS_PER_PART = 100_000
CORES_PER_ACTOR = 8
"""One session of ONNX Runtime gains little from more cores: a larger machine gets several actors."""

_BATCHES_A_CALL = 4
_QUIET = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # else a warning of what a later Ray will do
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is sent anywhere
}


class _Pool(NamedTuple):
    """How many actors, and how many cores and GPUs each may use."""

    actors: int
    threads: int
    gpus: int


def embed_on_ray(
    source: str,
    model: Model,
    output: str,
    *,
    rows_per_part: int = ROWS_PER_PART,
    batch_size: int = 32,
) -> PartsManifest:
    """Unit vectors of every photo below a folder, as Parquet parts; failures are rows without a vector.

    Takes the cluster that `ray.init` finds (`RAY_ADDRESS`, or one on this machine), else starts one here for the
    while. Every machine of it needs mvmr-zoo, the model under the same spec, and access to `source` and `output`.

    Args:
        source: a folder, or a URI that pyarrow or fsspec understands.
        model: the encoder.
        output: a folder or a URI; new, empty, or what a run that was stopped has left, which is then made anew.
        rows_per_part: about how many rows a Parquet file has.
        batch_size: images an inference call.

    Raises:
        MissingDependencyError: ray is not installed.
        ConfigError: `rows_per_part` or `batch_size` is below 1, or `source` is a list or a Parquet file.
        DataError: no photo, something else stands in `output`, or the cluster failed.
    """
    if rows_per_part < 1 or batch_size < 1:
        raise ConfigError(f"got {rows_per_part} rows a part, batch_size = {batch_size}; expected at least 1 of each.")
    ray = _import_ray()
    photos, place = shared_photos(source), claim_parts(output)
    parts = place.below(PARTS_FOLDER)
    facts = facts_of(model)
    images = len(photos.others)
    if photos.files != []:
        with _cluster():
            read = _read(photos)
            images += read.count()
            pool = _pool(on_gpu=model.engine.device == "cuda")
            embedded = read.map_batches(
                _Embedder,
                fn_constructor_args=(model.spec, facts, photos.place, pool, batch_size),
                batch_format="pyarrow",
                batch_size=batch_size * _BATCHES_A_CALL,
                compute=ray.data.ActorPoolStrategy(size=pool.actors),
                num_cpus=pool.threads - 1,  # reading and writing need one now and then
                num_gpus=pool.gpus,
            )
            embedded.write_parquet(parts, filesystem=place.filesystem, min_rows_per_file=rows_per_part)
    _embed_others(photos.others, model, place, rows_per_part, batch_size)
    return finish_parts(place, facts, images)


class _Embedder:
    """An actor: loads the encoder once, then makes rows of files.

    Args:
        spec: of the encoder.
        facts: identify the model that the run was started with, and its output.
        place: the folder of the photos.
        pool: whose actor it is.
        batch_size: images an inference call.
    """

    def __init__(self, spec: str, facts: EmbeddingsFacts, place: Place, pool: _Pool, batch_size: int) -> None:
        self._place, self._pool, self._batch_size = place, pool, batch_size
        device: Device = "cuda" if pool.gpus else "cpu"
        threads = None if pool.gpus else pool.threads
        self._model = load(spec, output=facts.output, dim=facts.asked_dim, device=device, threads=threads)
        if replace(facts_of(self._model), model=facts.model) != facts:
            raise CheckpointError(f"{facts.model} is another model on {os.uname().nodename}. Copy the folder there.")

    def __call__(self, files: pa.Table) -> pa.Table:
        """Rows of a part for rows of `bytes` and `path`."""
        names = [self._place.named(path) for path in files["path"].to_pylist()]
        inputs = [Input(name, content) for name, content in zip(names, files["bytes"].to_pylist(), strict=True)]
        return _part(inputs, self._model, self._batch_size, self._pool.threads)


def _part(inputs: list[Input], model: Model, batch_size: int, threads: int | None = None) -> pa.Table:
    stream = embed_stream(
        model.engine, model.preprocess, inputs, batch_size=batch_size, decode_threads=threads, decode=Input.decode
    )
    return part_table(inputs, stream)


def _pool(*, on_gpu: bool) -> _Pool:
    """An actor for every GPU, or for every eight cores of a machine; all alike, so the smallest machine decides."""
    import ray

    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    with_gpus = [(int(each["GPU"]), int(each.get("CPU", 1))) for each in machines if each.get("GPU", 0) >= 1]
    if on_gpu and with_gpus:
        share = min(cores // gpus for gpus, cores in with_gpus)
        return _Pool(sum(gpus for gpus, _ in with_gpus), max(share, 1), 1)
    cores = [int(each["CPU"]) for each in machines if each.get("CPU", 0) >= 1]
    share = min([CORES_PER_ACTOR, *cores])
    return _Pool(sum(each // share for each in cores), share, 0)


def _read(photos: SharedPhotos) -> Dataset:
    """A row of `bytes` and `path` a photo. Raises DataError where there is none."""
    import ray
    from ray.data.datasource import PathPartitionFilter

    place, first = photos.place, len(photos.place.path)

    class Photos(PathPartitionFilter):  # type: ignore[misc]
        def __init__(self) -> None: ...

        def __call__(self, paths: list[str]) -> list[str]:
            # not Ray's file_extensions: of `why?.jpg` that reads `why`
            return [
                path
                for path in paths
                if "/." not in f"/{path[first:]}" and PurePosixPath(path).suffix.lower() in SUFFIXES
            ]

    with explained(place.name):
        return ray.data.read_binary_files(
            photos.files or [place.path, *_left_out(place.filesystem, place.path)],
            include_paths=True,
            filesystem=place.filesystem,
            partition_filter=Photos(),
        )


def _left_out(filesystem: FileSystem, folder: str) -> Iterator[str]:
    """What Ray leaves out of a folder that it lists: names right there that begin with `_`, as `_MG_0001.JPG`."""
    from pyarrow.fs import FileSelector, FileType

    for each in filesystem.get_file_info(FileSelector(folder)):
        if each.base_name.startswith("_"):
            yield each.path
            if each.type == FileType.Directory:
                yield from _left_out(filesystem, each.path)


def _embed_others(others: list[Input], model: Model, place: Place, rows_per_part: int, batch_size: int) -> None:
    """Embed here what Ray cannot read."""
    import pyarrow.parquet as pq

    waiting = iter(others)
    for number in itertools.count():
        inputs = list(itertools.islice(waiting, min(rows_per_part, ROWS_PER_PART)))
        if not inputs:
            return
        with explained(place.name):
            path = place.below(f"{PARTS_FOLDER}/others-{number}.parquet")
            pq.write_table(_part(inputs, model, batch_size), path, filesystem=place.filesystem)


@contextmanager
def _cluster() -> Iterator[None]:
    """A cluster: the one this process is connected to, the one that Ray finds, or one started here for the while."""
    import ray

    ours = not ray.is_initialized()
    try:
        if ours:
            ray.init(logging_level=logging.ERROR, log_to_driver=False, include_dashboard=False)
            ray.data.DataContext.get_current().enable_progress_bars = sys.stderr.isatty()
        yield
    except (ray.exceptions.RayError, ConnectionError, RuntimeError) as error:
        raise DataError(f"Ray stopped: {_told(error)}") from None
    finally:
        if ours:
            ray.shutdown()


def _told(error: Exception) -> str:
    """What was raised where it began: Ray appends the traceback of the other process, whose last line this is."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return one_line(re.sub(r"^(\w+\.)*\w+(Error|Exception): ", "", lines[-1]), 400)


def _import_ray() -> Any:
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        ray = importlib.import_module("ray")
        importlib.import_module("ray.data")
    except ImportError as error:
        raise MissingDependencyError("ray", "ray", "embed on several machines") from error
    for handler in logging.getLogger("ray.data").handlers:
        if handler.name == "console":  # the session's own file has it all
            handler.setLevel(logging.CRITICAL)
    return ray
