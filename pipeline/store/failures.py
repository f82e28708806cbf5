"""Which failures of a run folder still stand.

In: a run folder. Out: the last failure of each job that was not done since. Must not load torch.
"""

from __future__ import annotations

from pipeline.errors import RunFolderError
from pipeline.store.reader import RunReader
from pipeline.store.records import Failure
from pipeline.store.shards import jobs_in


def open_failures(store: RunReader) -> dict[str, Failure]:
    """Failures of jobs that have not been done since and that the last plan still has, by name."""
    gone = set(store.stale_names().failures)
    failed = {name: failure for name, failure in store.failures().items() if name not in gone}
    for shard in store.shard_files() if failed else ():
        try:
            packed = jobs_in(store.inside, shard)
        except RunFolderError as error:
            store.note_unread(shard, str(error))
            continue
        for name in failed.keys() & packed.keys():
            if failed[name].key in ("", packed[name]):  # without a key nothing was read of it
                del failed[name]
    return {name: f for name, f in failed.items() if not _is_done_since(store, f)}


def _is_done_since(store: RunReader, failure: Failure) -> bool:
    """Whether the record there is of the very job, or younger; an older one is of other settings.
    Of one that cannot be read nothing is known."""
    if not store.inside.is_file(store.record_path(failure.name)):
        return False
    record = store.record(failure.name)
    return record is None or record.key == failure.key or record.finished > failure.time
