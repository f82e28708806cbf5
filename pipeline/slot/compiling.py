"""Networks compiled by torch, for as many shapes as a process sees.

In: a network, how many shapes. Out: the network, compiled when it is first called.
"""

from __future__ import annotations

import torch

from pipeline.method import Backbone

# What torch compiles a network for: pictures, contents among them, width and height in px.
Seen = tuple[int, int, int, int]
# Of one of these: the step, what the pictures are like, what the contents are like; and some room.
_EACH = 4
# By which torch bounds how often it compiles one function, for one network and for all: each by its
# name and by that of older versions. Beyond, it goes on without compiling, as if that were nothing.
_LIMITS = (
    ("recompile_limit", "cache_size_limit"),
    ("accumulated_recompile_limit", "accumulated_cache_size_limit"),
)


def compiled(network: Backbone) -> Backbone:
    """The same, compiled anew for each shape that it sees: known sizes make the fastest code."""
    made: Backbone = torch.compile(network, dynamic=False)  # type: ignore[assignment]
    return made


def make_room(shapes: int) -> None:
    """Has torch compile networks for so many shapes at least; no bound is made lower."""
    config = torch._dynamo.config
    for names in _LIMITS:
        name = next(name for name in names if hasattr(config, name))
        setattr(config, name, max(getattr(config, name), _EACH * shapes))
