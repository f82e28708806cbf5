"""A run to look at.

In: a run folder. Out: a page, a contact sheet, a ranking, TensorBoard's files. Must not know how
pictures are made (but `best.py`, which measures them by the method), nor run anything.

- `page.py`: the page, from `entries.py` (what there is), `axes.py`, `data.py`, `thumbnails.py`,
  `drawings.py`, `details.py` and `grow.py` (favorites at a larger size); `web/` is its template,
  styles and scripts; `live.py`: the page while the run goes on
- `inputs.py`: the pictures that a run was made of, where they are now
- `sheet.py`: contact sheets, of `sheet_cells.py` (what is on them), drawn by `sheet_draw.py`
- `best.py`: which of a grid's jobs is the best for each pair; `pairs.py`: jobs as a manifest
- `board.py`: TensorBoard; `trackers.py`: this and others; `table.py`: CSV and Parquet
"""

import lazy_loader

# The names stand in `__init__.pyi`; each is loaded when it is first asked for, since torch takes
# seconds to load and only `best.py` needs it.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
