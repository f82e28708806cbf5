"""A sample of a run in shards, as files: a small run folder to be looked at.

In: a run folder with shards. Out: `sample/` in it, with some pictures and their records. Must not
load torch.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools

from pipeline.errors import NstError
from pipeline.files import cannot_write
from pipeline.store.run_folder import RunFolder
from pipeline.store.shards import jobs_in, sample_key, samples_in

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
        places = sorted((shard, row, sample_key(name)) for _, shard, name, row in drawn)
        for shard, some in itertools.groupby(places, lambda each: each[0]):
            picks = [(key, row) for _, row, key in some]
            for record, plain, picture in samples_in(store.inside, shard, picks):
                folder.write(folder.path / record.output.path, picture)
                folder.write(folder.path / f"images/{record.name}.json", plain)
        folder.inside.remove_tree(folder.temporary)
    except NstError:
        store.inside.remove_tree(folder.path)  # a part of a sample looks like a whole one
        raise
    except OSError as error:
        store.inside.remove_tree(folder.path)
        raise cannot_write(folder.path, error) from error
    return folder
