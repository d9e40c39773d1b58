"""Bulk embedding: images to an embeddings folder, shard by shard, or to Parquet files on a Ray cluster.

inputs          one input, and the `Source` protocol
path_sources    a folder of photos, or a text file of paths
parquet_source  a Parquet file of paths or encoded images
sources         `open_source`: the source that a command line names
plan            `plan.json`: settings of an embeddings folder, written before the first shard
failures        images of a shard that could not be embedded
local_engine    `embed_source`: writes missing shards, then the manifest

filesystem      folders on any file system: paths and URIs
shared_photos   photos that a cluster can read
parquet_parts   embeddings as Parquet files
ray_engine      `embed_on_ray`: photos to Parquet files on a Ray cluster
gather          `gather_parquet`: Parquet files to an embeddings folder
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mvmr_zoo._io import lazy_import

if TYPE_CHECKING:
    from mvmr_zoo.embed.gather import gather_parquet
    from mvmr_zoo.embed.local_engine import BulkReport, embed_source
    from mvmr_zoo.embed.ray_engine import embed_on_ray
    from mvmr_zoo.embed.sources import open_source

__all__ = [
    "BulkReport",
    "embed_on_ray",
    "embed_source",
    "gather_parquet",
    "open_source",
]

_LAZY = {
    "BulkReport": "mvmr_zoo.embed.local_engine",
    "embed_on_ray": "mvmr_zoo.embed.ray_engine",
    "embed_source": "mvmr_zoo.embed.local_engine",
    "gather_parquet": "mvmr_zoo.embed.gather",
    "open_source": "mvmr_zoo.embed.sources",
}
"""Names that a search does not need, though it reads `embed.folder`. They are imported on first use."""

__getattr__ = lazy_import(__name__, _LAZY)
