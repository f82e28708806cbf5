"""What stays on disk.

In: values and bytes. Out: files, written once and whole, and what they say. Must not know how
pictures are made, nor who runs what.

- `inside.py`: files below a folder and nothing else, by `disk.py` or, of remote ones, by
  `bucket.py`; `reader.py`: what a run folder says
- `run_folder.py`: a run's folder; `lock.py`, `holder.py`: who holds it; `queue.py`: who takes
  which job; `live.py`: what goes on while it runs
- `forms.py`: JSON as values of a type; `records.py` (and `made.py`), `headers.py`: these types, of
  today's and older versions
- `stale.py`: pictures that no job makes; `failures.py`: failures that still stand
- `embedded.py`: what a picture itself says of how it was made
- `shards.py` (and `packing.py`, `classes.py`), `mirror.py`: finished jobs as shards; a dataset's
  other files; `sample.py`: some of what is in shards, to be looked at
- `videos.py`: videos of a run's clips
- `cache.py`: the cache folder; `tensor_cache.py`: tensors in it; `targets.py`: style targets;
  `means.py`: the normalized variant

Only the last three load torch.
"""

import lazy_loader

# The names stand in `__init__.pyi`; each is loaded when it is first asked for, since torch takes
# seconds to load and most who read a run folder need none.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
