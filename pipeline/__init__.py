"""Batch neural style transfer: the public Python face.

`stylize_pair`, `run_batch`, `records`, `load_manifest`. The rest is the way of the data, a
folder a stage; each imports only from those below it:

    commands: what a person types -> the stages -> text
    schedule: plan -> batches -> slots; what is tried again
    slot: a batch, from files to files, in a worker process
    distill: training a small backbone
    report: a run to look at
    store: what stays on disk
    plan: manifest -> a stream of jobs -> batches
    method: pure torch: backbones, losses, optimizers, the step loop
    manifest: YAML -> validated manifest
    pictures: picture files <-> arrays
"""

from typing import Any

import lazy_loader

_named, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    """The names of the face, and the version, each when it is first asked for."""
    if name == "__version__":
        from pipeline.version import nst_version

        return nst_version()
    return _named(name)
