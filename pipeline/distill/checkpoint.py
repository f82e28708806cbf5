"""The file from which a killed training goes on.

In: tensors by name, the step, what the training is made of. Out: one safetensors file, whole or not
at all. Must not know what the tensors mean.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from pipeline.distill.recipe import Recipe
from pipeline.errors import RunFolderError
from pipeline.files import write_atomic


def fingerprint(recipe: Recipe, networks: str, folders: Sequence[Sequence[Path]]) -> str:
    """What a checkpoint must share with the training that goes on from it.

    Args:
        networks: digests of the teacher's weights and of those that the student began with.
        folders: pictures to train on; only their names and order count, so a folder may move.
    """
    names = [[path.name for path in folder] for folder in folders]
    parts = [asdict(recipe), networks, names]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def write_checkpoint(path: Path, tensors: Mapping[str, Tensor], step: int, made_of: str) -> None:
    """Writes the state after `step` steps of the training that `made_of`, a fingerprint, names."""
    plain = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    write_atomic(path, save(plain, {"step": str(step), "fingerprint": made_of}))


def read_checkpoint(path: Path, made_of: str, device: str) -> tuple[int, dict[str, Tensor]]:
    """The step and the tensors, on `device`.

    Raises:
        RunFolderError: the file is damaged, or its fingerprint is not `made_of`.
    """
    try:
        with safe_open(path, framework="pt", device=device) as file:
            metadata = dict(file.metadata() or {})
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise RunFolderError(
            f"{path}: damaged checkpoint ({error}); delete it to begin anew"
        ) from error
    if metadata.get("fingerprint") != made_of:
        raise RunFolderError(
            f"{path}: the checkpoint of another training (other steps, teacher, pictures or "
            f"recipe); delete it to begin anew, or repeat the command that made it"
        )
    return int(metadata["step"]), tensors
