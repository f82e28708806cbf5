"""Manifest -> a stream of jobs -> batches.

In: a valid manifest. Out: jobs, one by one, and batches of those that can share a tensor. Must not
know devices, processes or what a network does; must not load torch.

- `clips.py`: videos as frames, in the cache
- `jobs.py`: the stream; `lots.py`: its names, and what is left out; `pairing.py`: which pairs;
  `points.py`: of the grid; `keys.py`: job keys
- `names.py`: output names; `labels.py`: what they are made of; `first_names.py`: the first ones
- `batch.py`: a batch; `batches.py`: jobs -> batches; `chains.py`: frames of a clip, one after the
  other
- `classes.py`: splits and classes; `counts.py`: jobs by axis; `choice.py`: which of
  them are meant; `order.py`: in which order
"""

import lazy_loader

# The names stand in `__init__.pyi`; each is loaded when it is first asked for.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
