"""Batch neural style transfer.

From Python: `stylize_pair`, `run_batch_file`, `records`; see `pipeline.library`.

The way of the data: manifest -> plan -> schedule -> stylize -> store -> report. One module a
stage; a module imports only from those listed after it:

- `library`: the same from Python and notebooks
- `commands`: what each command does
- `peers`: other tools' command lines as manifests
- `doctor`, `tune`: what this machine has and lacks; how to share out its cores
- `distill`: training of small backbones
- `report`, `sheet`, `best`, `board`: a run as one HTML page, as contact sheets, its best pictures,
  and for TensorBoard
- `schedule`: plan -> batches -> slots; what is tried again
- `shards`, `mirror`: finished jobs as tar shards; a dataset's other files
- `engines`: processes of this machine, Dask, Ray
- `batches`: jobs -> batches
- `progress`: what a person sees while it runs
- `worker`: a batch in its slot, from files to files
- `outputs`: a finished job's picture, record and animation
- `inputs`: what a batch needs, from files
- `checkpoint`: where a long job stands
- `stylize`: a batch of tensors -> pictures
- `tiles`: losses and gradients of pictures too large to be taken whole
- `optimise`, `losses`, `color`: the method
- `memory`: what a step takes, and what there is
- `targets`: style targets, cached on disk
- `backbone`: the feature networks and their weights
- `store`: the run folder
- `plan`: manifest -> stream of jobs
- `manifest`: YAML -> validated manifest
- `pairs`, `masks`: maps of pairs, and masks, as files
- `settings`: every setting, and the presets
- `images`: picture files <-> tensors
- `files`, `layers`, `errors`: what all share
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.library import records, run_batch_file, stylize_pair

__all__ = ["records", "run_batch_file", "stylize_pair"]

try:
    __version__ = version("nst")
except PackageNotFoundError:  # run from a source tree that is not installed
    __version__ = "0+unknown"


def __getattr__(name: str) -> Any:
    """The library's functions, when first asked for: they load torch, which takes seconds."""
    if name in __all__:
        from pipeline import library

        return getattr(library, name)
    raise AttributeError(f"module 'pipeline' has no attribute {name!r}")
