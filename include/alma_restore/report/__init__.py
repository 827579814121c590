"""The restore report: what was restored from what, and what it looks like, on one page.

`facts`: as restore.json holds them. `plots`: drawn inside CASA's Python. `compose`: the page.
"""
