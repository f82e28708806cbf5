"""All that crosses the border of a worker process: small, picklable values. Must not load torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.address import keep_secrets
from pipeline.manifest import Settings, backbone_text
from pipeline.notices import Notice
from pipeline.plan import Job
from pipeline.remote import keep_downloads_in
from pipeline.store import RunFolder


@dataclass(frozen=True)
class NetworkFiles:
    """A network of a run, and where its numbers are; the attributes are those of `RunContext`."""

    backbone: str
    weights: Path | str | None
    means: Path | None = None
    preprocessing: str | None = None
    about_weights: str = ""


@dataclass(frozen=True)
class RunContext:
    """What every worker of a run needs to know; small and picklable.

    Attributes:
        run: the run folder.
        part: the shard of the run, or empty.
        cache: the cache folder.
        backbone: the name of the network of jobs whose settings name none.
        others: the networks that jobs' settings name, by `backbone_text`.
        weights: its weight file, `caffe` or `torchvision`, or None for the shipped network's.
        means: file of mean activations for the normalized variant, or None.
        slots: the device of each slot, as the user knows it.
        devices: `auto`, or the device that a cluster's workers are to use.
        threads: CPU threads a slot; 0 leaves torch's choice.
        checkpoint_every_s: seconds between checkpoints of long jobs; 0 keeps none.
        compiles: have torch compile the network.
        graphs: take a GPU's steps as CUDA graphs.
        deterministic: have torch take deterministic algorithms alone.
        preprocessing: of its first convolution, where the manifest says it.
        about_weights: what the weights are and where they are from, for records.
        left_out: devices that are there and cannot be used, each with the reason.
        isolated: whether a slot's process sees its own GPU alone; see `own_environment`.
        secrets: of addresses; see `keep_secrets`.
        shunned: cards of a cluster that get no batch any more; see `own_card`.
    """

    run: Path
    cache: Path
    backbone: str
    weights: Path | str | None
    means: Path | None
    part: str = ""
    slots: tuple[str, ...] = ("cpu",)
    threads: int = 0
    devices: str = "auto"
    checkpoint_every_s: float = 0.0
    compiles: bool = False
    deterministic: bool = False
    preprocessing: str | None = None
    about_weights: str = ""
    left_out: tuple[str, ...] = ()
    isolated: bool = False
    graphs: bool = False
    shunned: tuple[str, ...] = ()
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    others: Mapping[str, NetworkFiles] = field(default_factory=dict)

    @property
    def own(self) -> NetworkFiles:
        """The network of jobs whose settings name none."""
        return NetworkFiles(
            self.backbone, self.weights, self.means, self.preprocessing, self.about_weights
        )

    def network(self, settings: Settings) -> NetworkFiles:
        """The network that jobs with these settings go through."""
        named = backbone_text(settings.backbone)
        return self.others[named] if named else self.own

    def enter(self) -> None:
        """Has this process open addresses as the run's own does."""
        keep_secrets(self.secrets)
        keep_downloads_in(self.cache)

    @property
    def store(self) -> RunFolder:
        """The run folder."""
        return RunFolder(self.run, self.part)


@dataclass(frozen=True)
class Outcome:
    """How one job ended.

    Attributes:
        status: `done`, `failed` or `stopped` (asked to stop; not a failure, not done).
        error: why it failed, for the user.
        seconds: this job's share of the batch's wall time.
        hits, computed: style targets found in the cache, and computed.
        about: of a failed job, what it was to be made of; see `about_job`.
    """

    name: str
    key: str
    status: str
    seconds: float = 0.0
    error: str | None = None
    error_type: str | None = None
    hits: int = 0
    computed: int = 0
    warnings: tuple[Notice, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """How one batch ended.

    Attributes:
        slot: the slot's name.
        seconds: wall time by phase: `read`, `targets`, `inputs` (of each scale), `optimize`,
            `write`; the last one without what went on behind the next batch.
        busy_s: wall time of all.
        fits: how many jobs fitted at once after memory ran out, or None if it did not.
    """

    outcomes: tuple[Outcome, ...]
    slot: str
    device: str
    seconds: Mapping[str, float]
    busy_s: float
    fits: int | None = None


def about_job(job: Job) -> dict[str, Any]:
    """What a failure says of its job: content, style, its pictures with weights, swept values."""
    return {
        "content": str(job.content.path),
        **({"file": job.content.below} if job.place is None else {}),
        "style": job.style.label,
        "style_parts": {str(path): weight for path, weight in job.style.parts},
        "swept": dict(job.point),
    }


def failed(job: Job, error: Exception, kind: str = "") -> Outcome:
    """The outcome of a job that failed for `error`."""
    name = kind or type(error).__name__
    about = about_job(job)
    return Outcome(job.name, job.key, "failed", error=str(error), error_type=name, about=about)
