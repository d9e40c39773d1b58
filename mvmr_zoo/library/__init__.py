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

from mvmr_zoo.home import default_library_path
from mvmr_zoo.library.doctor import Finding
from mvmr_zoo.library.duplicates import Copy, Group
from mvmr_zoo.library.photos import PhotoLibrary
from mvmr_zoo.library.query import Filters, Query
from mvmr_zoo.library.reindex import ReindexReport
from mvmr_zoo.library.rows import PhotoRow
from mvmr_zoo.library.scan import Globs
from mvmr_zoo.library.search import Hit
from mvmr_zoo.library.status import Status
from mvmr_zoo.library.update import AddReport

__all__ = [
    "AddReport",
    "Copy",
    "Filters",
    "Finding",
    "Globs",
    "Group",
    "Hit",
    "PhotoLibrary",
    "PhotoRow",
    "Query",
    "ReindexReport",
    "Status",
    "default_library_path",
]
