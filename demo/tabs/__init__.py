"""The tabs, one file each: a function or class that makes its components and wires them to the services.

parts        what several of them use
search       the search
detail       one photo, larger
filters      which photos may answer
index        taking in a folder
map          the library as points
duplicates   copies side by side
compare      two encoders
models       the catalog
"""
