"""Subjects that are folders and files which nst wrote, or which someone made to look so.

In: a run folder, a cache file, a weight file, a picture. Out: attempts, each of them one damaged
and read by the commands that read it.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import torch
from fake_run import bare_record, small_run
from PIL import Image
from safetensors.torch import save

from fuzz.mutations import NASTY, mutated_bytes, mutated_text
from pipeline import library
from pipeline.commands import (
    Options,
    clean_run,
    move_stale,
    rank_run,
    show_picture,
    show_status,
    stop_run,
    write_report,
    write_sheet,
)
from pipeline.commands.again import given_manifest
from pipeline.errors import ImageError, NstError
from pipeline.manifest import Settings
from pipeline.method import load_weights
from pipeline.pictures import Encoding, encode, read_exif, read_image, read_profile, read_size
from pipeline.store import (
    BackboneHeader,
    Failure,
    PlanHeader,
    RunFolder,
    RunLock,
    SlotState,
    Summary,
    targets_cache,
)

Attempt = Callable[[], object]
_RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_FOLDERS = ("images", "frames", "report", "report/thumbs", "report/detail", ".nst", ".nst/tmp",
            ".nst/checkpoints", "tensorboard", "shards", "videos")  # fmt: skip


# --- run folders ----------------------------------------------------------------------------------


def make_run(folder: Path) -> None:
    """A small run as workers and commands leave it."""

    def picture(name: str, seed: int) -> Path:
        path = folder / name
        Image.new("RGB", (48, 36), (60 * seed, 200 - 40 * seed, 90)).save(path)
        return path

    run = small_run(folder / "whole", picture)
    store = RunFolder(run)
    backbone = BackboneHeader(name="lite")
    header = PlanHeader(backbone=backbone, folder=str(folder), run=str(run), jobs=8)
    store.begin("output: whole\ncontent: a.png\nstyle: red.png\n", header.plain())
    store.write_summary(Summary(jobs=8, done=7, failed=1, seconds=9.0, images_per_hour=900.0))
    store.live.write_slot(SlotState(slot="0", time=1.0, pid=1, job="a", steps=9, step=3))
    write = {
        "run.log": "2026-01-01 INFO begun\n",
        ".nst/checkpoints/k.safetensors": "kept",
        "frames/a/000001.jpg": "kept",
        "stale.json": '{"schema": 1, "pictures": ["images/a__red__style_weight-2.0.png"]}',
    }
    for name, text in write.items():
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text(text)
    with contextlib.redirect_stdout(io.StringIO()):
        write_report(run)


def run_folder(folder: Path, random: Random) -> Attempt:
    """A damaged run, seen or gone on with by every command that takes one."""
    run, canary = folder / "run", folder.parent / "canary"
    for old in (run, folder / "other"):
        shutil.rmtree(old, ignore_errors=True)
    shutil.copytree(folder / "whole", run, symlinks=True)
    for _ in range(random.randint(1, 3)):
        random.choice((_mutate, _mutate, _falsify, _falsify, _replace, _link_folder))(
            run, canary, random
        )
    act = random.choice(_COMMANDS)
    return lambda: _quiet(lambda: act(run))


def _mutate(run: Path, canary: Path, random: Random) -> None:
    files = [p for p in sorted(run.rglob("*")) if p.is_file() and not p.is_symlink()]
    path = random.choice(files)
    if path.suffix in (".json", ".jsonl", ".yaml", ".log"):
        path.write_bytes(mutated_text(path.read_text(errors="replace"), random))
    else:
        path.write_bytes(mutated_bytes(path.read_bytes(), random))


def _falsify(run: Path, canary: Path, random: Random) -> None:
    """A record that is whole and says what is not so."""
    records = [p for p in sorted((run / "images").rglob("*.json")) if p.is_file()]
    if not records:
        return
    path = random.choice(records)
    path = random.choice((path, path, run / "run.json", run / "plan.json"))
    try:
        record = json.loads(path.read_bytes())
    except (ValueError, OSError):
        return  # damaged before
    place = random.choice(_mappings(record) or [{}])
    value: Any = random.choice((
        *NASTY, str(canary / "precious.png"), "../../canary/precious.png", "../../../x", None, [],
        {}, 1e308, float("nan"), float("inf"), -1, 10**30, True, [1, 2], {"a": [{}]}, [[[]]], "",
        "images/../../x.png",
    ))  # fmt: skip
    if not place:
        return
    place[random.choice(sorted(place))] = value
    path.write_text(json.dumps(record))


def _mappings(value: Any) -> list[dict[str, Any]]:
    """A mapping and all those within it."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    own = [value] if isinstance(value, dict) else []
    return own + [found for below in inner for found in _mappings(below)]


def _replace(run: Path, canary: Path, random: Random) -> None:
    """Something else where a file was."""
    names = ("run.json", "plan.json", "manifest.yaml", "run.log", "failures.jsonl", "report.html",
             "best.yaml", ".nst/run.lock", ".nst/owner.json", ".nst/stop")  # fmt: skip
    files = [p.relative_to(run).as_posix() for p in sorted(run.rglob("*")) if p.is_file()]
    path = run / random.choice((*names, *files))
    if path.is_dir() or not path.parent.is_dir() or path.parent.is_symlink():
        return
    path.unlink(missing_ok=True)
    kind = random.randrange(5)
    if kind == 0:
        path.symlink_to(canary / "precious.txt")
    elif kind == 1:
        os.mkfifo(path)
    elif kind == 2:
        path.mkdir()
    elif kind == 3:
        path.symlink_to(path)


def _link_folder(run: Path, canary: Path, random: Random) -> None:
    """A folder that is a link to what is precious."""
    path = run / random.choice(_FOLDERS)
    if path.is_symlink() or path.parent.is_symlink():
        return
    shutil.rmtree(path, ignore_errors=True)
    if path.parent.is_dir() and not path.exists():
        path.symlink_to(canary, target_is_directory=True)


def _go_on(run: Path) -> None:
    """What a run does in its folder, without the pictures."""
    store = RunFolder(run)
    with RunLock(store):
        store.begin("output: run\n", {"backbone": {"name": "lite"}})
        store.is_done("a__red__style_weight-2.0", "k" * 64, Settings())
        store.live.write_slot(SlotState(slot="0", time=1.0, pid=1))
        name = "a__red__style_weight-2.0"
        about = bare_record(name)
        store.write_job(name, "k" * 64, Settings(), b"picture", (4, 3), about)
        store.add_failure(Failure(name="b", error="broken"))
        store.write_summary(Summary(jobs=1))
        store.end()


def _rank(run: Path) -> None:
    with mock.patch("pipeline.report.best.SIZE_PX", 32):  # what it measures is not asked here
        rank_run(run, 3.0, None, 0, as_json=False)


_COMMANDS: tuple[Callable[[Path], object], ...] = (
    lambda run: show_status(run, as_json=False),
    lambda run: show_status(run, as_json=True),
    write_report,
    lambda run: write_sheet(run, "style", "style_weight", run.parent / "s.png", 32, None),
    _rank,
    clean_run,
    move_stale,
    stop_run,
    lambda run: list(library.records(run)),
    _go_on,
)


def _quiet(act: Callable[[], object]) -> None:
    """Runs, and looks at what it said: nothing that acts on a terminal."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        act()
    raw = _RAW.search(said.getvalue())
    assert raw is None, f"said {raw[0]!r}"


# --- files ----------------------------------------------------------------------------------------


def make_cache(folder: Path) -> None:
    """A target file."""
    cache = targets_cache(folder / "cache")
    cache.get("d" * 64, lambda: {"0.conv1_1": torch.eye(4)}, {"style": "s"})
    (folder / "whole").write_bytes(cache.path("d" * 64).read_bytes())


def cache_file(folder: Path, random: Random) -> Attempt:
    """A damaged target file: computed anew, or what was in it."""
    cache = targets_cache(folder / "cache")
    path = cache.path("d" * 64)
    path.write_bytes(mutated_bytes((folder / "whole").read_bytes(), random))

    def attempt() -> None:
        found = cache.get("d" * 64, lambda: {"0.conv1_1": torch.eye(4)}, {"style": "s"})
        assert torch.equal(found.tensors["0.conv1_1"], torch.eye(4)), "other numbers"

    return attempt


def make_weights(folder: Path) -> None:
    """Small weight files of both kinds."""
    tensors = {"features.0.weight": torch.ones(4, 3, 3, 3), "features.0.bias": torch.ones(4)}
    (folder / "whole.safetensors").write_bytes(save(tensors))
    torch.save(tensors, folder / "whole.pth")


def weight_file(folder: Path, random: Random) -> Attempt:
    """A damaged weight file."""
    whole = random.choice(sorted(folder.glob("whole.*")))
    path = folder / f"weights{random.choice((whole.suffix, '.pth', '.safetensors'))}"
    path.write_bytes(mutated_bytes(whole.read_bytes(), random))
    name = random.choice(("vgg19", "vgg16", "lite"))
    return lambda: load_weights(name, path)


_SUFFIXES = (".png", ".jpg", ".webp", ".gif", ".bmp", ".tif", ".ppm", ".tga", ".jp2")


def make_pictures(folder: Path) -> None:
    """One small picture of each common format."""
    image = Image.radial_gradient("L").resize((24, 16)).convert("RGB")
    for suffix in _SUFFIXES:
        image.save(folder / f"whole{suffix}")


def picture(folder: Path, random: Random) -> Attempt:
    """A damaged picture, read in all ways."""
    whole = random.choice(sorted(folder.glob("whole.*")))
    path = folder / f"x{random.choice((whole.suffix, '.jpg'))}"
    path.write_bytes(mutated_bytes(whole.read_bytes(), random))

    def attempt() -> None:
        for read in (read_size, read_image, read_profile, read_exif):
            with contextlib.suppress(ImageError):
                read(path)

    return attempt


_FORMATS = ("png", "jpg", "webp", "tiff")


def make_own_pictures(folder: Path) -> None:
    """Pictures of ours of each format, with their text, and what they were made of."""
    make_run(folder)
    (record,) = itertools.islice(RunFolder(folder / "whole").records(), 1)
    (folder / "text.json").write_text(json.dumps(record.in_short(record.key)))


def own_picture(folder: Path, random: Random) -> Attempt:
    """A picture that says of itself what is damaged or not so, shown and taken for a manifest."""
    kind = random.choice(_FORMATS)
    path = folder / f"x.{kind}"
    says = json.loads((folder / "text.json").read_text())
    canary = folder.parent / "canary"
    for _ in range(random.randint(1, 3)):
        place = random.choice([found for found in _mappings(says) if found])
        value = random.choice((*NASTY, str(canary / "precious.png"), "../../../x", None, [], -1,
                               10**30, True, {"a": [{}]}, "", "\x1b[2J"))  # fmt: skip
        place[random.choice(sorted(place))] = value
    whole = random.random() < 0.7
    data = encode(torch.full((3, 4, 6), 0.5), Encoding(kind, text=says))
    path.write_bytes(data if whole else mutated_bytes(data, random))

    def attempt() -> None:
        for act in (
            lambda: show_picture(path, as_json=False),
            lambda: show_picture(path, as_json=True),
            lambda: given_manifest(path, Options()),
        ):
            with contextlib.suppress(NstError):
                _quiet(act)

    return attempt
