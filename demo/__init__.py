"""The page where people search their photos (`mvmr-demo`, `python -m demo`).

cli         the command
opening     which library the page shows; the samples, so that there always are some photos
app         the page: builds it from the tabs, and launches it
tabs/       one file a tab: components and what they call
api         /search, /search_by_id and /status for programs, and for MCP
space       a folder for a Hugging Face Space

What the page does, without Gradio:

services    everything below for one library, behind one name
search      from photos or ids to hits with thumbnails
trail       the steps of a search, and the way back
indexing    taking in a folder while people search
photo_map   the library as points in two dimensions
comparison  two encoders on the same photos
catalog   the models and what is on this machine

What both need:

thumbnails  small copies of photos, without what their files tell of people
uploads     what may be sent, and how long it is kept
guard       requests that are refused before they reach the page
markup      pieces of HTML, every text in them escaped
theme       how it looks
"""
