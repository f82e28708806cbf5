"""`nst plan --measure`: how long a plan would take here or elsewhere, how much memory and disk.

In: a plan. Out: some lines. Runs some steps of a few jobs in a folder that is thrown away.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.commands.disk import disk_line
from pipeline.commands.means import pictures_to_normalize_by
from pipeline.commands.options import Options, slots_meant
from pipeline.commands.prepare import plan_jobs
from pipeline.commands.run import find_run_slots, job_bytes_each, make_context
from pipeline.manifest import PEER_PRESETS, Manifest, is_file
from pipeline.method import load_weights
from pipeline.plan import Plan, value_text
from pipeline.schedule import duration, measure, seconds_of_one
from pipeline.slot import PROCESS_BYTES, NetworkFiles, RunContext, budget
from pipeline.store import RunFolder, find_means, save_means
from pipeline.terminal import say

_SHOWN = ("draft", "fast", "default")


def print_estimate(
    planned: Plan, options: Options, store: RunFolder, others_slots: Sequence[str] = ()
) -> None:
    """Prints the time, the memory and the disk that what is left of a plan would take.

    Args:
        others_slots: other slots to estimate the time for, such as `8xcuda`.

    Raises:
        DeviceError: a device that is not there, or other slots that nothing is known of.
    """
    wanted = [slots_meant(word) for word in others_slots]
    manifest = planned.manifest
    found = find_run_slots(options)
    for why in found.left_out:
        say(why)
    context = make_context(manifest, planned, options, store, found)
    with tempfile.TemporaryDirectory() as folder:
        scratch = _scratch(context, manifest, Path(folder))
        each = measure(planned, options.run.choice, store, scratch)
        others = list(_by_presets(manifest, options, scratch)) if each else []
    if not each:
        say("nothing to do")
    else:
        slots, seconds = ", ".join(context.slots), sum(each.values())
        say(f"about {duration(seconds)} on {slots} once they have started, by up to 3 short trials")
        if len(manifest.backbones) > 1:
            said = (f"{_named(manifest, b)} {duration(each.get(b, 0))}" for b in manifest.backbones)
            say(f"of these by backbone: {', '.join(said)}")
        for count, kind in wanted:
            say(_on_others(seconds * len(context.slots), context.slots[0], count, kind))
        if taken := disk_line(planned, options.run.choice, store):
            say(taken)
    if others:
        say(f"the whole plan by preset, from its first job: {', '.join(others)}")
    if "cpu" in context.slots:
        memory = job_bytes_each(manifest, context.cache)
        allowed = budget("cpu", len(context.slots))
        for backbone, job in memory.items():
            through = f" through {_named(manifest, backbone)}" if len(memory) > 1 else ""
            tiles = ", in tiles" if job > allowed else ""
            peak = (PROCESS_BYTES + min(job, allowed)) / 2**30
            say(f"at most {peak:.1f} GiB of memory a worker{through}{tiles}, counted in fp32")


def _named(manifest: Manifest, backbone: str) -> str:
    """A network as names of outputs have it."""
    return value_text(manifest.backbones[backbone] or manifest.backbone)


def _on_others(of_one: float, measured: str, count: int, kind: str) -> str:
    """The time of so many slots like the one that was measured.

    Args:
        of_one: seconds on one slot alone.
    """
    here = measured.partition(":")[0]
    if kind != here:
        return f"{count}x{kind}: not known, since {here} was measured; run this where there is one"
    like = "each with a core as here" if kind == "cpu" else "each as the one here"
    return f"about {duration(of_one / count)} on {count}x{kind}, {like}"


def _by_presets(manifest: Manifest, options: Options, context: RunContext) -> Iterator[str]:
    """What all jobs would take with each of the product's own presets, where none is swept."""
    own = [manifest.settings, *(pair.settings for pair in manifest.pairs)]
    named = {str(settings.get("preset")).partition("@")[0] for settings in own}
    some_have_own = any("backbone" in settings for settings in own)  # then no one job is like all
    if "preset" in manifest.axes or named & {*PEER_PRESETS} or some_have_own:
        return
    for preset in _SHOWN:
        other = replace(manifest, settings={**manifest.settings, "preset": preset}, presets={})
        planned = plan_jobs(other, options, None)
        seconds = seconds_of_one(planned, context)
        if seconds is not None:
            yield f"{preset} {duration(seconds * len(planned) / len(context.slots))}"


def _scratch(context: RunContext, manifest: Manifest, folder: Path) -> RunContext:
    """The same run in another folder, which leaves the run's own as it is."""

    def found(number: int, files: NetworkFiles) -> Path | None:
        """Its means, made where the run has none yet."""
        if files.means is None or is_file(files.means):
            return files.means
        weights = load_weights(files.backbone, files.weights, files.preprocessing, context.cache)
        means = find_means(weights, pictures_to_normalize_by(manifest), context.cache)
        path = folder / f"means-{number}.safetensors"
        save_means(path, means, weights.digest)
        return path

    others = {
        backbone: replace(files, means=found(number, files))
        for number, (backbone, files) in enumerate(context.others.items(), 1)
    }
    own = found(0, context.own) if "" in manifest.backbones else None
    return replace(context, run=folder, others=others, means=own)
