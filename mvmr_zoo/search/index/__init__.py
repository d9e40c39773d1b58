"""The vector index of a library: flat and IVF, IVF-PQ for large embeddings folders, tuning, the manifest."""

from __future__ import annotations

from mvmr_zoo.search.index.faiss_io import (
    TRAINING_ROWS_PER_CLUSTER,
    clusters_for,
    faiss_library,
    has_gpu,
    on_gpu,
    read_index,
    stored_ids,
    train,
    write_hashed_index,
    write_index,
)
from mvmr_zoo.search.index.ivfpq import INDEX, LISTS_FILE, IvfPq, nearest, open_ivfpq, read_ivfpq
from mvmr_zoo.search.index.ivfpq_build import build_ivfpq
from mvmr_zoo.search.index.manifest import INDEX_FACT, Kind, Manifest, Tuning, read_manifest, write_manifest
from mvmr_zoo.search.index.mapped_folder import MappedFolder
from mvmr_zoo.search.index.tuning import TARGET, HeldOutQueries, check_recall, held_out, query_ids, tune
from mvmr_zoo.search.index.vector_index import (
    VectorIndex,
    VectorPart,
    as_matrix,
    has_base,
    open_index,
    read_base,
    vector_parts,
)

__all__ = [
    "INDEX",
    "INDEX_FACT",
    "LISTS_FILE",
    "TARGET",
    "TRAINING_ROWS_PER_CLUSTER",
    "HeldOutQueries",
    "IvfPq",
    "Kind",
    "Manifest",
    "MappedFolder",
    "Tuning",
    "VectorIndex",
    "VectorPart",
    "as_matrix",
    "build_ivfpq",
    "check_recall",
    "clusters_for",
    "faiss_library",
    "has_base",
    "has_gpu",
    "held_out",
    "nearest",
    "on_gpu",
    "open_index",
    "open_ivfpq",
    "query_ids",
    "read_base",
    "read_index",
    "read_ivfpq",
    "read_manifest",
    "stored_ids",
    "train",
    "tune",
    "vector_parts",
    "write_hashed_index",
    "write_index",
    "write_manifest",
]
