"""Web page for searching a photo library (`mvmr-demo`, `python -m demo`).

cli         the command
opening     selects the library to open, and creates the sample library
app         builds the page from the tabs and serves it
tabs/       one file per tab: components and event handlers
api         the endpoints /search, /search_by_id and /status, also as MCP tools
space       creates the folder of a Hugging Face Space

Modules without Gradio:

services    the services of one library
searcher    search by photo or id, with thumbnails
hits        photos and hits as displayed
trail       the search history of a session
indexing    indexing of a folder in the background
photo_map   two-dimensional map of the library
comparison  two encoders on the same photos
catalog     table of the known models

Modules used by both:

thumbnails  small copies of photos without personal metadata
uploads     limits and retention of uploaded photos
guard       middleware that rejects unwanted requests
markup      HTML fragments with escaped text
theme       colors, fonts and CSS
"""
