"""Checkpoints of long jobs: picture, optimizer's memory and losses so far, one file a job.

In: where a batch stands. Out: safetensors files by job key, so that jobs of a batch may be batched
otherwise when they go on. The key covers all that decides pixels, so a checkpoint that is found
fits.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from pipeline.json_text import read_json
from pipeline.method import State
from pipeline.store import Point, RunFolder

Curve = list[Point]


@dataclass(frozen=True)
class Checkpoint:
    """Where one job stands.

    Attributes:
        scale, step: as in `State`.
        tensors: as in `State`, without the batch's dimension.
        curve: the losses so far.
    """

    scale: int
    step: int
    tensors: Mapping[str, Tensor]
    curve: Curve


def save_checkpoint(store: RunFolder, key: str, state: State, index: int, curve: Curve) -> None:
    """Writes where job `index` of a batch stands, whole or not at all.

    Args:
        key: the job's.

    Raises:
        RunFolderError: no space or no rights.
    """
    tensors = {name: t[index].detach().cpu().contiguous() for name, t in state.tensors.items()}
    about = {"scale": state.scale, "step": state.step, "curve": curve}
    store.write(store.checkpoint_path(key), save(tensors, {"about": json.dumps(about)}))


def load_checkpoint(store: RunFolder, key: str) -> Checkpoint | None:
    """What `save_checkpoint` wrote; None if there is none, or one that cannot be read whole."""
    path = store.checkpoint_path(key)
    if not store.inside.is_file(path):
        return None
    try:
        with safe_open(path, framework="pt") as file:
            about = read_json((file.metadata() or {})["about"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return Checkpoint(about["scale"], about["step"], tensors, about["curve"])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError):
        return None  # the job begins anew, which costs time and nothing else


def stack(checkpoints: Sequence[Checkpoint], device: str) -> State:
    """Checkpoints at one position as the state of a batch."""
    first = checkpoints[0]
    # One of an earlier version may hold more than the others.
    names = [name for name in first.tensors if all(name in c.tensors for c in checkpoints)]
    tensors = {
        name: torch.stack([c.tensors[name] for c in checkpoints]).to(device) for name in names
    }
    return State(first.scale, first.step, tensors)
