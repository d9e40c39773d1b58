"""Bulk embeddings: any number of images to an embeddings folder, shard by shard.

inputs    what is embedded, and the `Source` protocol
listed    a folder of photos, or a text file of paths
parquet   a Parquet file of paths or of encoded images
source    which of these a command line means
plan      `plan.json`: what a folder is being made of
run       `embed_source`: the shards that are missing, then the manifest
"""

from mvmr_zoo.bulk.run import BulkReport, embed_source
from mvmr_zoo.bulk.source import open_source

__all__ = ["BulkReport", "embed_source", "open_source"]
