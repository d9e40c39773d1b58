from __future__ import annotations

from pathlib import Path

import numpy as np

from mvmr_zoo.checkpoint import file_digest
from mvmr_zoo.search.index import faiss_library, read_index, write_hashed_index


def test_the_hash_of_a_new_index_is_that_of_its_file(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).standard_normal((9_000, 64)).astype(np.float32)  # more than one buffer
    index = faiss_library().IndexFlatIP(64)
    index.add(vectors)
    written = write_hashed_index(index, tmp_path / "index.faiss")
    assert written == ((tmp_path / "index.faiss").stat().st_size, file_digest(tmp_path / "index.faiss"))
    assert read_index(tmp_path / "index.faiss").ntotal == 9_000
