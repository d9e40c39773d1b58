"""`embed_on_ray`: photos of a folder or bucket to Parquet files, on every machine of a Ray cluster.

Ray reads the photos and writes the Parquet files. A pool of actors, each with its own copy of the encoder, decodes and
embeds with the functions of the local engine. No other file imports ray.
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
from mvmr_zoo.embed.parquet_parts import PARTS_FOLDER, PartsManifest, claim_parts, finish_parts, part_table
from mvmr_zoo.embed.plan import facts_of
from mvmr_zoo.embed.shared_photos import SharedPhotos, shared_photos
from mvmr_zoo.errors import CheckpointError, ConfigError, DataError, MissingDependencyError, one_line
from mvmr_zoo.images import SUFFIXES, PhotoFile
from mvmr_zoo.inference import Model, embed_stream
from mvmr_zoo.models import Device, load

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.fs import FileSystem
    from ray.data import Dataset

ROWS_PER_PART = 100_000
CORES_PER_ACTOR = 8
"""One ONNX Runtime session gains little from more cores, so a larger machine runs several actors."""

_BATCHES_A_CALL = 4
_QUIET = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # silences a FutureWarning
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is sent anywhere
}


class _Pool(NamedTuple):
    """Number of actors, and the cores and GPUs of each."""

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
    """Write unit vectors of every photo below a folder to Parquet files. Failed photos are rows without a vector.

    Uses the cluster that `ray.init` finds (`RAY_ADDRESS`, or one on this machine), else starts a temporary one here.
    Every machine of the cluster needs mvmr-zoo, the model under the same spec, and access to `source` and `output`.

    Args:
        source: A folder, or a URI that pyarrow or fsspec understands.
        model: The encoder.
        output: A folder or a URI; new, empty, or from an interrupted run, whose parts are deleted.
        rows_per_part: Approximate number of rows per Parquet file.
        batch_size: Images per inference call.

    Raises:
        MissingDependencyError: Ray is not installed.
        ConfigError: `rows_per_part` or `batch_size` is below 1, or `source` is a list or a Parquet file.
        DataError: There is no photo, `output` holds other files, or the cluster failed.
    """
    if rows_per_part < 1 or batch_size < 1:
        raise ConfigError(
            f"rows_per_part is {rows_per_part} and batch_size is {batch_size}; expected at least 1 of each."
        )
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
                num_cpus=pool.threads - 1,  # leaves one core for reading and writing
                num_gpus=pool.gpus,
            )
            embedded.write_parquet(parts, filesystem=place.filesystem, min_rows_per_file=rows_per_part)
    _embed_others(photos.others, model, place, rows_per_part, batch_size)
    return finish_parts(place, facts, images)


class _Embedder:
    """Actor that loads the encoder once, then embeds tables of files.

    Args:
        spec: Spec of the encoder.
        facts: Identity of the encoder in the process that started the run.
        place: The folder of the photos.
        pool: Size and resources of the actor pool.
        batch_size: Images per inference call.
    """

    def __init__(self, spec: str, facts: EmbeddingsFacts, place: Place, pool: _Pool, batch_size: int) -> None:
        self._place, self._pool, self._batch_size = place, pool, batch_size
        device: Device = "cuda" if pool.gpus else "cpu"
        threads = None if pool.gpus else pool.threads
        self._model = load(spec, output=facts.output, dim=facts.asked_dim, device=device, threads=threads)
        if replace(facts_of(self._model), model=facts.model) != facts:
            raise CheckpointError(
                f"{facts.model} is a different model on {os.uname().nodename}. Copy the model folder to that machine."
            )

    def __call__(self, files: pa.Table) -> pa.Table:
        """Rows of a part, from rows of `bytes` and `path`."""
        names = [self._place.named(path) for path in files["path"].to_pylist()]
        inputs = [PhotoFile(name, content) for name, content in zip(names, files["bytes"].to_pylist(), strict=True)]
        return _part(inputs, self._model, self._batch_size, self._pool.threads)


def _part(inputs: list[PhotoFile], model: Model, batch_size: int, threads: int | None = None) -> pa.Table:
    stream = embed_stream(
        model.engine, model.preprocess, inputs, dim=model.dim, batch_size=batch_size, decode_threads=threads
    )
    return part_table(inputs, stream)


def _pool(*, on_gpu: bool) -> _Pool:
    """One actor per GPU, or per eight cores. All actors are alike, so the smallest machine sets their size."""
    import ray

    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    with_gpus = [(int(node["GPU"]), int(node.get("CPU", 1))) for node in machines if node.get("GPU", 0) >= 1]
    if on_gpu and with_gpus:
        share = min(cores // gpus for gpus, cores in with_gpus)
        return _Pool(sum(gpus for gpus, _ in with_gpus), max(share, 1), 1)
    cores = [int(node["CPU"]) for node in machines if node.get("CPU", 0) >= 1]
    share = min([CORES_PER_ACTOR, *cores])
    return _Pool(sum(count // share for count in cores), share, 0)


def _read(photos: SharedPhotos) -> Dataset:
    """One row of `bytes` and `path` per photo. Raises DataError if there is no photo."""
    import ray
    from ray.data.datasource import PathPartitionFilter

    place, first = photos.place, len(photos.place.path)

    class Photos(PathPartitionFilter):  # type: ignore[misc]
        def __init__(self) -> None: ...

        def __call__(self, paths: list[str]) -> list[str]:
            # Ray's file_extensions would parse `why?.jpg` as `why`
            return [
                path
                for path in paths
                if "/." not in f"/{path[first:]}" and PurePosixPath(path).suffix.lower() in SUFFIXES
            ]

    with explained(place.name):
        return ray.data.read_binary_files(
            photos.files or [place.path, *_underscore_paths(place.filesystem, place.path)],
            include_paths=True,
            filesystem=place.filesystem,
            partition_filter=Photos(),
        )


def _underscore_paths(filesystem: FileSystem, folder: str) -> Iterator[str]:
    """Paths that begin with `_`, such as `_MG_0001.JPG`, which Ray skips when it lists a folder."""
    from pyarrow.fs import FileSelector, FileType

    for entry in filesystem.get_file_info(FileSelector(folder)):
        if entry.base_name.startswith("_"):
            yield entry.path
            if entry.type == FileType.Directory:
                yield from _underscore_paths(filesystem, entry.path)


def _embed_others(others: list[PhotoFile], model: Model, place: Place, rows_per_part: int, batch_size: int) -> None:
    """Embed the photos that Ray cannot read, in this process."""
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
    """Connect to the current cluster, the one that Ray finds, or a temporary one on this machine."""
    import ray

    ours = not ray.is_initialized()
    try:
        if ours:
            ray.init(logging_level=logging.ERROR, log_to_driver=False, include_dashboard=False)
            ray.data.DataContext.get_current().enable_progress_bars = sys.stderr.isatty()
        yield
    except (ray.exceptions.RayError, ConnectionError, RuntimeError) as error:
        raise DataError(f"Ray stopped: {_root_message(error)}") from None
    finally:
        if ours:
            ray.shutdown()


def _root_message(error: Exception) -> str:
    """The original message: the last line of the remote traceback that Ray appends."""
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
        if handler.name == "console":  # Ray also writes these messages to its log file
            handler.setLevel(logging.CRITICAL)
    return ray
