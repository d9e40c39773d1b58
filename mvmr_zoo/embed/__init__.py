"""Bulk embeddings: any number of images to an embeddings folder, shard by shard; or on a cluster, to Parquet.

inputs    what is embedded, and the `Source` protocol
listed    a folder of photos, or a text file of paths
parquet   a Parquet file of paths or of encoded images
source    which of these a command line means
plan      `plan.json`: what a folder is being made of
failures  the images of a shard that could not be embedded
run       `embed_source`: the shards that are missing, then the manifest

places    folders on any file system: paths and URIs
shared    photos that a cluster can read
parts     embeddings as Parquet parts
ray_engine   `embed_on_ray`: photos to parts, on every machine of a Ray cluster; import it from there
gather    `gather_parquet`: parts to an embeddings folder
"""

from __future__ import annotations

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
