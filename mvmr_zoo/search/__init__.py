"""The photo library: a folder that remembers every photo's vector.

rows     what the store remembers
schema   its tables
store    library.sqlite, the truth: photos, vectors, failures
lock     one writer at a time
binding  which encoder it belongs to
scan     what lies in a folder
update   bringing the store up to date with folders
reindex  moving the library to another encoder
forget   photos of some folders, and missing ones
background   how similar its photos are at random
manifest what the FAISS file is, and how it was tuned
index    nearest vectors: the FAISS file, and photos that came later
tune     how many lists a search must look into
build    making the FAISS file, and keeping it up
query    what a search asks for, and which photos may answer
duplicates   copies of the same photo
search   from a query's vector to hits
doctor   what is wrong with a library
status   how it stands
parquet  its vectors for vector databases
photos   `PhotoLibrary`: all of that behind one name
sheet    a picture of a query and its hits
"""

from __future__ import annotations

from mvmr_zoo.images import Globs
from mvmr_zoo.models import default_library_path
from mvmr_zoo.search.compatibility import bind, reindex_command
from mvmr_zoo.search.contact_sheet import save_sheet
from mvmr_zoo.search.doctor import Finding
from mvmr_zoo.search.duplicates import COSINE, LIKENESS, Copy, Group
from mvmr_zoo.search.embeddings_library import EmbeddingsLibrary
from mvmr_zoo.search.index import IvfPq, MappedFolder, build_ivfpq, read_ivfpq
from mvmr_zoo.search.photo_library import PhotoLibrary
from mvmr_zoo.search.query import Filters, Query
from mvmr_zoo.search.ranking import Hit
from mvmr_zoo.search.reindex import ReindexReport
from mvmr_zoo.search.rows import PhotoRow
from mvmr_zoo.search.status import Status
from mvmr_zoo.search.store import Store
from mvmr_zoo.search.sync import AddReport, Progress
from mvmr_zoo.search.vectors_parquet import write_folder_parquet, write_library_parquet

__all__ = [
    "COSINE",
    "LIKENESS",
    "AddReport",
    "Copy",
    "EmbeddingsLibrary",
    "Filters",
    "Finding",
    "Globs",
    "Group",
    "Hit",
    "IvfPq",
    "MappedFolder",
    "PhotoLibrary",
    "PhotoRow",
    "Progress",
    "Query",
    "ReindexReport",
    "Status",
    "Store",
    "bind",
    "build_ivfpq",
    "default_library_path",
    "read_ivfpq",
    "reindex_command",
    "save_sheet",
    "write_folder_parquet",
    "write_library_parquet",
]
