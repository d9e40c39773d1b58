r"""Embeddings folders: the layout that clip-retrieval and autofaiss read.

FOLDER/
img_emb/img_emb_0.npy            `(n, D)`, float16
metadata/metadata_0.parquet      `image_path`, row i of one is row i of the other
manifest.json                    whose embeddings they are, and the SHA-256 of these files

A file name need not be text, `image_path` must: there bytes that are not UTF-8 are escaped as `\xNN`, and
`image_path_bytes`, null in all other rows, holds the name as it is.

layout    whose embeddings a folder holds, and what its files are called
reading   a folder whose files were found right; shards left on the disk
writing   vectors and paths, batch by batch or shard by shard
"""

from mvmr_zoo.embed.folder.layout import (
    MANIFEST_FILE,
    EmbeddingsFacts,
    check_hash,
    check_hashes,
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
    "check_hash",
    "check_hashes",
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
