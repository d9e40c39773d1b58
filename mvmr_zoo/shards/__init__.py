"""Searching an embeddings folder whose vectors are more than memory holds.

mapped   the folder's vectors and paths, left on the disk
lists    its index, and asking it
build    making that: IVF-PQ, shard by shard
library  `ShardLibrary`: candidates from the lists, compared by their own vectors
"""

from mvmr_zoo.shards.build import build_lists
from mvmr_zoo.shards.library import ShardLibrary
from mvmr_zoo.shards.lists import Lists, has_lists, read_lists

__all__ = ["Lists", "ShardLibrary", "build_lists", "has_lists", "read_lists"]
