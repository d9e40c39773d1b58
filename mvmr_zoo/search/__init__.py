"""The photo library: photos, their vectors, and search by image.

rows                `PhotoRow`, the record of one photo
schema              SQL tables, and explanations of SQLite errors
store               the SQLite database with photos, vectors and failures; the other files are derived from it
lock                allows one writer at a time
compatibility       ties a library to one encoder and output
sync                updates the database from folders of photos
reindex             switches a library to another encoder
removal             removes folders and missing photos from a library
score_calibration   similarity of random pairs, which turns a score into a percentile
index               nearest-neighbor index: FAISS files, IVF, IVF-PQ, tuning
refresh             builds the index file and keeps it up to date
query               queries and filters
ranking             from a query vector to hits
duplicates          exact and near copies of the same photo
doctor              finds and repairs problems
status              summary of the state of a library
vectors_parquet     exports vectors for vector databases
photo_library       `PhotoLibrary`, the interface to all of the above
embeddings_library  `EmbeddingsLibrary`, search in the output of `mvmr-zoo embed`
contact_sheet       a picture of queries and hits
"""

from __future__ import annotations

from mvmr_zoo.images import Globs
from mvmr_zoo.models import default_library_path
from mvmr_zoo.search.compatibility import bind, reindex_command
from mvmr_zoo.search.contact_sheet import save_sheet
from mvmr_zoo.search.doctor import Finding
from mvmr_zoo.search.duplicates import CORRELATION, COSINE, Copy, Group
from mvmr_zoo.search.embeddings_library import EmbeddingsLibrary
from mvmr_zoo.search.index import IvfPq, MappedFolder, build_ivfpq, read_ivfpq
from mvmr_zoo.search.photo_library import PhotoLibrary
from mvmr_zoo.search.query import Filters, Query
from mvmr_zoo.search.ranking import Hit
from mvmr_zoo.search.reindex import ReindexReport
from mvmr_zoo.search.rows import PhotoRow
from mvmr_zoo.search.score_calibration import percentile_text
from mvmr_zoo.search.status import Status
from mvmr_zoo.search.store import DATABASE_FILE, Store
from mvmr_zoo.search.sync import AddReport
from mvmr_zoo.search.vectors_parquet import write_folder_parquet, write_library_parquet

__all__ = [
    "CORRELATION",
    "COSINE",
    "DATABASE_FILE",
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
    "Query",
    "ReindexReport",
    "Status",
    "Store",
    "bind",
    "build_ivfpq",
    "default_library_path",
    "percentile_text",
    "read_ivfpq",
    "reindex_command",
    "save_sheet",
    "write_folder_parquet",
    "write_library_parquet",
]
