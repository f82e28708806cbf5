"""Why a job of a plan would run.

In: a job that is not done, and the run folder. Out: the reason in a few words. Must not load torch.
"""

from __future__ import annotations

from pydantic import ValidationError

from pipeline.manifest import Manifest, Settings
from pipeline.plan import Job
from pipeline.store import Failure, Record, RunFolder, Stale


def why(
    job: Job,
    manifest: Manifest,
    store: RunFolder,
    failures: dict[str, Failure],
    renamed: Stale,
) -> str:
    """Why a job would run: it is new, or what has changed since its picture was made.

    Args:
        failures: of the run, by name.
        renamed: pictures of jobs that have other names now.
    """
    if renamed.has_picture_of(job):
        return "only renamed, so its picture is taken along"
    if not store.inside.is_file(store.record_path(job.name)):
        return "failed before" if job.name in failures else "new"
    record = store.record(job.name)
    if record is None:
        return "its record cannot be read"
    if record.key == job.key:
        return "its picture is gone"
    return ", ".join(_changes(job, manifest, record)) or "other weights, or a newer version of nst"


def _changes(job: Job, manifest: Manifest, record: Record) -> list[str]:
    found = []
    content = job.content.digest or job.inputs.get(job.content.path)
    if record.content.sha256 != content:
        found.append("content changed")
    style = [(job.inputs.get(path), weight) for path, weight in job.style.parts]
    if [(picture.sha256, picture.weight) for picture in record.style.pictures] != style:
        found.append("style changed")
    try:
        names = job.settings.changed_from(Settings.model_validate(record.settings))
    except ValidationError:
        names = []
    edge = record.settings.get("mask_edge", job.settings.mask_edge)
    names += ["mask_edge"] if job.content.mask and edge != job.settings.mask_edge else []
    if names:
        found.append(f"changed: {', '.join(names)}")
    name = manifest.network(job.settings.backbone).name
    if record.backbone.get("name", name) != name:
        found.append("another backbone")
    return found
