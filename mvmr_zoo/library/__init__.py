"""The photo library: a folder that remembers every photo's vector.

rows     what the store remembers
schema   its tables
store    library.sqlite, the truth: photos, vectors, failures
index    the FAISS file made from it, remade whenever it does not match
scan     what lies in a folder
update   bringing the store up to date with folders
query    what a search asks for, and which photos may answer
doctor   what is wrong with a library
duplicates   copies of the same photo
search   from a query's vector to hits
photos   `PhotoLibrary`: add folders, look at the state, search, find duplicates
sheet    a picture of a query and its hits
"""

from mvmr_zoo.library.doctor import Finding
from mvmr_zoo.library.duplicates import Copy, Group
from mvmr_zoo.library.photos import PhotoLibrary, Status, default_library_path
from mvmr_zoo.library.query import Filters, Query
from mvmr_zoo.library.scan import Globs
from mvmr_zoo.library.search import Hit
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
    "Query",
    "Status",
    "default_library_path",
]
