"""Tensors on disk, computed at most once.

In: a digest, and how to compute what it stands for. Out: the tensors. Safe for many processes at
once: each file is computed under a lock, written to a temporary file and renamed. No pickle
anywhere.
"""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from pipeline.errors import RunFolderError
from pipeline.files import write_atomic
from pipeline.json_text import read_json
from pipeline.notices import Notice


@dataclass(frozen=True)
class Cached:
    """Tensors from the cache.

    Attributes:
        hit: whether they were there already.
        warnings: what went wrong without harm, such as a damaged file that was computed anew.
        about: what the file's header says of it.
    """

    tensors: dict[str, Tensor]
    hit: bool
    warnings: tuple[Notice, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)


def _check(tensors: Mapping[str, Tensor]) -> str:
    """A sum by which a disk's mistakes are noticed."""
    found = 0
    for name in sorted(tensors):
        found = zlib.crc32(name.encode(), found)
        numbers = tensors[name].contiguous().view(-1).view(torch.uint8).numpy()
        found = zlib.crc32(numbers.data, found)
    return f"crc32:{found:08x}"


class TensorCache:
    """A folder of safetensors files, each named by what decides its content."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, digest: str) -> Path:
        """Where the file of this digest lies."""
        return self.folder / digest[:2] / f"{digest}.safetensors"

    def get(
        self,
        digest: str,
        compute: Callable[[], Mapping[str, Tensor]],
        about: Mapping[str, object],
    ) -> Cached:
        """The tensors of `digest`, computed only if they are not there whole.

        A folder that cannot be written costs the cache, not the job: the warning says so.

        Args:
            compute: gives the tensors.
            about: what the file is of, kept in its header; what `compute` adds to it, too.
        """
        path = self.path(digest)
        warnings: list[Notice] = []
        computed: dict[str, Tensor] | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(path.with_suffix(".lock")):
                found = self._read(path, warnings)
                if found is not None:
                    return Cached(found[0], True, tuple(warnings), found[1])
                computed = {key: t.detach().cpu().contiguous() for key, t in compute().items()}
                header = {"about": json.dumps(about, sort_keys=True), "check": _check(computed)}
                write_atomic(path, save(computed, header))
        except (RunFolderError, OSError) as error:
            warnings.append(Notice("cache_unusable", f"the cache could not be used: {error}"))
            if computed is None:
                computed = {key: t.detach().cpu() for key, t in compute().items()}
        return Cached(computed, False, tuple(warnings), about)

    def find(self, digest: str) -> Cached | None:
        """The tensors of `digest` if they are there whole; it waits for nobody."""
        found = self._read(self.path(digest), [])
        return None if found is None else Cached(found[0], True, (), found[1])

    def _read(self, path: Path, warnings: list[Notice]) -> tuple[dict[str, Tensor], Any] | None:
        if not path.exists():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
                header = file.metadata() or {}
            about = read_json(header.get("about", "{}"))
            check = header.get("check")  # files of older versions have none
            known = check is None or check == _check(tensors)
            if not known or header.keys() - {"about", "check"}:
                raise ValueError("its numbers are not those that were written")
            with contextlib.suppress(OSError):  # a cache that can only be read
                os.utime(path)  # what was used least lately goes first when the cache is full
            return tensors, about
        except (SafetensorError, OSError, ValueError) as error:
            said = f"{path}: damaged cache file ({error}), computed anew"
            warnings.append(Notice("cache_damaged", said))
            return None
