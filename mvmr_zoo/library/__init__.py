"""The photo library: a folder that remembers every photo's vector.

store    library.sqlite, the truth: photos, vectors, failures
index    the FAISS file made from it, remade whenever it does not match
scan     what lies in a folder
update   bringing the store up to date with folders
photos   `PhotoLibrary`: add folders, look at the state, search
sheet    a picture of a query and its hits
"""

from mvmr_zoo.library.photos import Hit, PhotoLibrary, Status, default_library_path
from mvmr_zoo.library.update import AddReport

__all__ = ["AddReport", "Hit", "PhotoLibrary", "Status", "default_library_path"]
