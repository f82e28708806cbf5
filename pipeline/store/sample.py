"""A sample of a run in shards, as files: a small run folder to be looked at.

In: a run folder with shards. Out: `sample/` in it, with some pictures and their records. Must not
load torch.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import ImageError, RunFolderError
from pipeline.files import cannot_write
from pipeline.json_text import read_json
from pipeline.pictures import file_bytes, member_others
from pipeline.store.forms import parse
from pipeline.store.records import Record
from pipeline.store.run_folder import RunFolder
from pipeline.store.shards import jobs_in, sample_key

SAMPLE = "sample"
_PICTURES = 200


def sample_of(store: RunFolder, count: int = _PICTURES) -> RunFolder:
    """The run itself where its pictures are files; of one in shards a folder of so many pictures,
    drawn by their names, the same ones each time, made anew.

    Raises:
        RunFolderError: a shard is damaged, or the folder cannot be written.
    """
    shards = store.shard_files()
    if not shards:
        return store
    folder = RunFolder(store.path / SAMPLE)
    gone = set(store.stale_names().packed)
    every = (
        (hashlib.sha256(name.encode(errors="surrogatepass")).digest(), shard, name, row)
        for shard in shards
        for row, name in enumerate(jobs_in(store.inside, shard))
        if name not in gone
    )
    drawn = heapq.nsmallest(count, every)
    try:
        store.inside.remove_tree(folder.path)
        for kept in ("plan.json", "manifest.yaml"):
            if store.inside.is_file(store.path / kept):
                folder.write(folder.path / kept, store.inside.read(store.path / kept))
        for _, shard, name, row in sorted(drawn, key=lambda each: (each[1], each[3])):
            for path, data in _files(shard, name, row):
                folder.write(folder.path / path, data)
        folder.inside.remove_tree(folder.temporary)
    except ImageError as error:
        raise RunFolderError(str(error)) from error
    except OSError as error:
        raise cannot_write(folder.path, error) from error
    return folder


def _files(shard: Path, name: str, row: int) -> Iterator[tuple[str, bytes]]:
    """A job's picture and record, by their paths below a run folder."""
    if shard.suffix == ".tar":
        record = file_bytes(shard / f"{sample_key(name)}.json")
    else:
        columns = read_json(member_others(shard / str(row))["source.json"])
        record = str(columns["record"]).encode()
    try:
        found = parse(Record, record)
    except ValueError as error:
        raise RunFolderError(f"{shard}: damaged record of {name}; delete the shard") from error
    suffix = found.output.path.rpartition(".")[2]
    inside = f"{sample_key(name)}.{suffix}" if shard.suffix == ".tar" else str(row)
    yield found.output.path, file_bytes(shard / inside)
    yield f"images/{found.name}.json", record
