"""Tabs of the page. Each module creates the components of a tab and connects them to the services.

parts        shared components and helpers
detail       enlarged view of one photo
filters      search options and filters
search       search
index        indexing of a folder
map          two-dimensional map of the library
duplicates   copies of the same photo
compare      comparison of two encoders
"""
