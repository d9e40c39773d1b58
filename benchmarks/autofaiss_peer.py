"""What autofaiss and embedding-reader make of an embeddings folder; run by `autofaiss_reads.py` in their own venv.

    python autofaiss_peer.py FOLDER RESULT.npz

Into `RESULT.npz` go autofaiss's rows in its order, `vectors` `(N, D)`, and `hits` `(N, 10)`, what its index answers to
each, best first; `read_vectors` and `read_paths` as embedding-reader pairs them, or `read_error`, why it cannot.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from autofaiss import build_index
from embedding_reader import EmbeddingReader

HITS = 10


def build(folder: Path, work: Path) -> faiss.Index:
    """The index that autofaiss chooses, read back from the file that it writes."""
    build_index(
        embeddings=str(folder / "img_emb"),
        index_path=str(work / "knn.index"),
        index_infos_path=str(work / "infos.json"),
        metric_type="ip",
        max_index_memory_usage="1GB",
        current_memory_available="2GB",
    )
    return faiss.read_index(str(work / "knn.index"))


def rows(folder: Path) -> np.ndarray:
    """The vectors as autofaiss reads them."""
    reader = EmbeddingReader(embeddings_folder=str(folder / "img_emb"), file_format="npy")
    return np.concatenate([vectors for vectors, _ in reader(batch_size=64)])


def pairs(folder: Path) -> dict[str, Any]:
    """Vectors and paths as clip-retrieval reads them."""
    reader = EmbeddingReader(
        embeddings_folder=str(folder / "img_emb"),
        metadata_folder=str(folder / "metadata"),
        meta_columns=["image_path"],
        file_format="parquet_npy",
    )
    try:
        batches = list(reader(batch_size=64))
    except Exception as error:  # whatever it is, it is the finding
        return {"read_error": f"{type(error).__name__}: {error}"}
    paths = [path for _, meta in batches for path in meta["image_path"]]
    return {"read_vectors": np.concatenate([vectors for vectors, _ in batches]), "read_paths": np.array(paths)}


def main() -> None:
    """Write the result."""
    folder, result = Path(sys.argv[1]), Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as work:
        index = build(folder, Path(work))
    vectors = rows(folder)
    hits = index.search(vectors.astype(np.float32), HITS)[1]
    np.savez(result, vectors=vectors, hits=hits, **pairs(folder))
    print(f"{type(index).__name__} of {index.ntotal} vectors")


if __name__ == "__main__":
    main()
