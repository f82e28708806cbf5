"""A weight file's bytes -> arrays by the names that they have there.

In: a file. Out: arrays, and the file's own words about them. What a file is is told by its first
bytes, not by its name. Must not load torch but for what torch pickled.
"""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from pipeline.errors import WeightsError

Array = np.ndarray[Any, np.dtype[Any]]
# Types in safetensors files that numpy has too; it lacks bfloat16 and the floats of 8 bits.
_NUMPY_KINDS = {"F16", "F32", "F64", "I8", "I16", "I32", "I64", "U8", "U16", "U32", "U64", "BOOL"}
# Where people's checkpoints keep the state dict.
_WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "params")
_NEEDED = "a state dict of tensors, saved by torch.save or as .safetensors, is needed"


def read_file(
    file: Path, is_used: Callable[[str], bool]
) -> tuple[dict[str, Array], dict[str, str]]:
    """All arrays of `file` whose names `is_used` takes, and its metadata.

    Raises:
        WeightsError: it is not there, damaged, or no weight file; the message says what it is.
    """
    try:
        with file.open("rb") as opened:
            head = opened.read(512)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise WeightsError(
            f"{file}: no such weight file; check the path in `backbone: weights:`"
        ) from error
    except OSError as error:
        raise WeightsError(f"{file}: cannot be read ({error.strerror})") from error
    _refuse_others(file, head)
    if head[8:9] == b"{":
        return _read_safetensors(file, is_used)
    if file.suffix == ".safetensors" and head[:2] != b"PK" and head[:1] != b"\x80":
        raise WeightsError(f"{file}: damaged safetensors file; fetch or make it again")
    try:
        if head[:2] == b"PK" and _is_npz(file):
            return _read_npz(file, is_used), {}
        return _read_pickle(file, is_used), {}
    except WeightsError:
        raise
    except pickle.UnpicklingError as error:
        # torch's own words advise to read the file without this check, which runs what it holds.
        what = (
            "holds Python objects, not only tensors, and those are never loaded, since they can "
            "run programs; save model.state_dict() where the file came from"
            if "unsupported global" in str(error).lower()
            else f"damaged or no weight file; {_NEEDED}"
        )
        raise WeightsError(f"{file}: {what}") from error
    except Exception as error:
        raise WeightsError(f"{file}: damaged or no weight file; {_NEEDED}") from error


def _refuse_others(file: Path, head: bytes) -> None:
    """Says what a file is that is often found in a weight file's place."""
    start = head.lstrip()[:64].lower()
    found = None
    if not head:
        found = "an empty file; fetch it again"
    elif start.startswith((b"<!doctype", b"<html", b"<head", b"<?xml")):
        found = "a web page, not weights: the address gave a page, not the file; fetch it anew"
    elif head.startswith(b"version https://git-lfs"):
        found = "a Git LFS pointer, not the file itself; run `git lfs pull` where it came from"
    elif head.startswith(b"MATLAB"):
        found = f"a MATLAB file (MatConvNet's weights); {_NEEDED}"
    elif head.startswith(b"\x89HDF"):
        found = (
            f"an HDF5 file (Keras' weights); {_NEEDED}: copy its arrays into one under their names"
        )
    elif head.startswith((b"\n\x07VGG", b"\n\x0fVGG")) or file.suffix == ".caffemodel":
        found = f"a Caffe model; {_NEEDED}"
    if found:
        raise WeightsError(f"{file}: {found}")


def _is_npz(file: Path) -> bool:
    with zipfile.ZipFile(file) as opened:
        return all(name.endswith(".npy") for name in opened.namelist())


def _read_npz(file: Path, is_used: Callable[[str], bool]) -> dict[str, Array]:
    with np.load(file, allow_pickle=False) as arrays:
        found = {key: arrays[key] for key in arrays.files if is_used(key)}
    if not all(isinstance(array, np.ndarray) for array in found.values()):
        raise WeightsError(f"{file}: damaged: an array in it is none; fetch or make it again")
    return found


def _read_safetensors(
    file: Path, is_used: Callable[[str], bool]
) -> tuple[dict[str, Array], dict[str, str]]:
    try:
        with safe_open(file, framework="numpy") as reader:
            keys = [key for key in reader.keys() if is_used(key)]  # noqa: SIM118
            kinds = {reader.get_slice(key).get_dtype() for key in keys}
        framework = "numpy" if kinds <= _NUMPY_KINDS else "pt"  # torch has all types
        with safe_open(file, framework=framework) as reader:
            state = {key: _array_of(reader.get_tensor(key)) for key in keys}
            return state, dict(reader.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{file}: damaged safetensors file ({error}); fetch or make it again"
        ) from error


def _read_pickle(file: Path, is_used: Callable[[str], bool]) -> dict[str, Array]:
    import torch  # for what torch pickled alone: it takes seconds to load

    # Most of VGG-19's file are layers that are never used: mapped, they are never read.
    mapped = zipfile.is_zipfile(file) and file.suffix != ".safetensors"
    # By its name, torch would take a file for safetensors; of odd pickles it warns beforehand.
    with file.open("rb") as opened, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        given = file if mapped else opened
        loaded = torch.load(given, map_location="cpu", weights_only=True, mmap=mapped)
    tensors = _tensors_in(loaded, is_used)
    if tensors is None:
        raise WeightsError(f"{file}: holds a {type(loaded).__name__}, but {_NEEDED}")
    for key, tensor in tensors.items():
        if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_meta:
            raise WeightsError(f"{file}: {key} is no dense tensor of numbers")
    return {key: _array_of(value) for key, value in tensors.items()}


def _tensors_in(
    loaded: Any, is_used: Callable[[str], bool], depth: int = 3
) -> Mapping[str, Any] | None:
    """The state dict in what was saved, perhaps below one of `_WRAPPERS`; None without one.

    Tensors that lie beside a wrapper, such as a best score, are none of it.
    """
    if not isinstance(loaded, Mapping):
        return None
    inner = [_tensors_in(loaded[k], is_used, depth - 1) for k in _WRAPPERS if depth and k in loaded]
    found = next((tensors for tensors in inner if tensors), None)
    if found:
        return found
    tensors = {str(k): v for k, v in loaded.items() if hasattr(v, "detach")}
    return {k: v for k, v in tensors.items() if is_used(k)} if tensors else None


def _array_of(value: Any) -> Array:
    if isinstance(value, np.ndarray):
        return value
    value = value.detach()  # a saved parameter still asks for gradients
    array: Array = (value.float() if value.is_floating_point() else value).cpu().numpy()
    return array
