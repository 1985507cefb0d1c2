"""Pictures of every page of the console, to be looked at: `make screenshots FOLDER=…`.

`month` runs a gateway with a month of use behind it, `shots` goes through the pages in a real
browser. A chosen few are kept for the docs in `docs/pictures/`.
"""
