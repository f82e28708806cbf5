"""Data sets as subjects: damaged tar shards, Parquet and Arrow tables.

In: a folder of small data sets. Out: attempts, each of them one damaged set, all of it read.
"""

from __future__ import annotations

import contextlib
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from fuzz.mutations import mutated_bytes
from pipeline.errors import ImageError
from pipeline.pictures import (
    member_labels,
    member_others,
    read_identity,
    read_image,
    set_members,
    set_passed,
    set_problem,
)

Attempt = Callable[[], object]


def make_sets(folder: Path) -> None:
    """A small data set of each kind, in each form of tar."""
    file = io.BytesIO()
    Image.radial_gradient("L").resize((24, 16)).convert("RGB").save(file, "JPEG")
    picture = file.getvalue()
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        with tarfile.open(folder / f"whole{form}.tar", "w", format=form) as tar:
            for name in ("a", "b/c", "d" * (95 if form == tarfile.USTAR_FORMAT else 160)):
                for suffix, data in (("jpg", picture), ("cls", b"3"), ("json", b'{"a": 1}')):
                    info = tarfile.TarInfo(f"{name}.{suffix}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
    rows = [{"bytes": picture, "path": "x.jpg"}, {"bytes": None, "path": None}] * 3
    table = pa.table({"image": rows, "label": [0, 1] * 3, "text": ["x", None] * 3})
    pq.write_table(table, folder / "whole.parquet", row_group_size=2)
    with pa.ipc.new_stream(folder / "whole.arrow", table.schema) as writer:
        writer.write_table(table)


def data_set(folder: Path, random: Random) -> Attempt:
    """A damaged data set, all of its pictures and labels read."""
    whole = random.choice(sorted(folder.glob("whole*")))
    # A name of its own for each, since what was read of a file is kept by its time and length.
    path = folder / f"x{random.getrandbits(40)}{whole.suffix}"

    def attempt() -> None:
        path.write_bytes(mutated_bytes(whole.read_bytes(), random))
        try:
            with contextlib.suppress(ImageError):
                members = list(set_members(path))
                set_problem(path), set_passed(path)
                for member in members[:20]:
                    for read in (read_identity, read_image, member_labels, member_others):
                        with contextlib.suppress(ImageError):
                            read(path / member.name)
        finally:
            os.unlink(path)

    return attempt
