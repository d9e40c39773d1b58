r"""Embeddings folders: the layout that clip-retrieval and autofaiss read.

FOLDER/
img_emb/img_emb_0.npy            `(n, D)`, float16
metadata/metadata_0.parquet      `image_path`, row i describes vector i
manifest.json                    the encoder, and the SHA-256 of these files

A file name may be invalid UTF-8. `image_path` then escapes the invalid bytes as `\xNN`, and `image_path_bytes`, null in
all other rows, holds the original name.

layout    the encoder of a folder, and the names of its files
reader    reads a whole folder with checks, or shard by shard
writer    writes vectors and paths, batch by batch or shard by shard
"""

from mvmr_zoo.embed.folder.layout import (
    MANIFEST_FILE,
    EmbeddingsFacts,
    check_file,
    check_files,
    is_embeddings_folder,
    read_counts,
    read_facts,
    shard_files,
    shard_name,
)
from mvmr_zoo.embed.folder.reader import EmbeddingsFolder, Shard, open_shards, read_embeddings, rows_of
from mvmr_zoo.embed.folder.writer import path_columns, write_embeddings, write_manifest, write_shard, write_table

__all__ = [
    "MANIFEST_FILE",
    "EmbeddingsFacts",
    "EmbeddingsFolder",
    "Shard",
    "check_file",
    "check_files",
    "is_embeddings_folder",
    "open_shards",
    "path_columns",
    "read_counts",
    "read_embeddings",
    "read_facts",
    "rows_of",
    "shard_files",
    "shard_name",
    "write_embeddings",
    "write_manifest",
    "write_shard",
    "write_table",
]
