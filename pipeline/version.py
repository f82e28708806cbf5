"""The versions that records and keys name; whoever changes what one stands for raises it here."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("nst")
except PackageNotFoundError:  # run from a source tree that is not installed
    __version__ = "0+unknown"

# Of all the code between a job's tensors and its pixels; part of every job key.
ALGORITHM = 3
# Of a style loss that changed while the rest stayed: its jobs alone are made anew.
STYLE_LOSSES = {"wasserstein": 2}
# Of L-BFGS with `clamp: false`, likewise.
UNBOUNDED_LBFGS = 2
# Of all the code between a style picture's bytes and its targets; part of every cache key.
PREPROCESSING = 2
# Of how outputs are named; 1 had no suffix of the content in them.
NAMING = 2
# Of a record's JSON; in 1 warnings were words alone.
RECORD_SCHEMA = 2
