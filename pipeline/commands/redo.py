"""`--redo`: finished jobs that are to be made again.

In: a plan, a run's options, the run folder under its lock. Out: those jobs without their records,
all before the first one runs, so that a run that is stopped goes on with them. Their pictures stay
until the new ones are there.
"""

from __future__ import annotations

from pipeline.errors import ManifestError
from pipeline.plan import Plan, check_rules, job_values, match
from pipeline.schedule import RunOptions
from pipeline.store import RunFolder


def take_back(plan: Plan, options: RunOptions, store: RunFolder) -> int:
    """Removes the records of finished jobs that match; how many.

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
    found = 0
    for job in options.choice.jobs(plan):
        mine = options.takes(job.lot) and match(options.redo, job_values(job))
        if mine and store.is_done(job.name, job.key, job.settings):
            store.inside.drop(store.record_path(job.name))
            found += 1
    return found
