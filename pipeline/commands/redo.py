"""`--redo`: finished jobs that are to be made again.

In: a plan, a run's options, the run folder under its lock. Out: those jobs without their records,
all before the first one runs, so that a run that is stopped goes on with them. Their pictures stay
until the new ones are there.
"""

from __future__ import annotations

import itertools

from pipeline.errors import ManifestError
from pipeline.plan import Plan, check_rules, job_values, match
from pipeline.schedule import RunOptions
from pipeline.store import Queue, RunFolder, open_again

_AT_ONCE = 1_000  # under the queue's lock, for which other processes wait


def take_back(plan: Plan, options: RunOptions, store: RunFolder) -> int:
    """Removes the records of finished jobs that match; how many. Of a run whose jobs are shared
    out, those alone that no process of it has taken: what it has made since it began stays.

    Raises:
        ManifestError: a rule that matches nothing of the plan, or tar shards, which never change.
        RunFolderError: a record cannot be removed.
    """
    if not options.redo:
        return 0
    if plan.shard_size:
        raise ManifestError(
            ["--redo: pictures in tar shards are never changed; choose another `output`"]
        )
    check_rules(options.redo, plan)
    wanted = (
        job
        for job in options.choice.jobs(plan)
        if options.takes(job.lot) and match(options.redo, job_values(job))
    )
    if not options.shares:
        return sum(open_again(store, job) for job in wanted)
    queue, found = Queue(store), 0
    while some := list(itertools.islice(wanted, _AT_ONCE)):
        found += queue.take_back(some)
    return found
