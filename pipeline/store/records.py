"""What is read back from a run folder's JSON, each with its type and the version of its form.

In: parsed JSON of this version or an older one. Out: frozen values; what is not of the form is a
`ValidationError`. Knows no paths. Must not load torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator
from typing_extensions import TypedDict

from pipeline.store.forms import Read, now, renamed
from pipeline.store.made import Below, ContentInput, Digest, Made, StyleInput
from pipeline.version import RECORD_SCHEMA

# Words of older files -> today's, beside the settings' own.
_OLD_WORDS = {"optimise": "optimize", "utilisation": "utilization"}


# --- one job --------------------------------------------------------------------------------------


class Output(Read):
    """The picture of a job; `path` is below the run folder, `size` width and height in px."""

    bytes: int
    sha256: Digest
    size: tuple[int, int]
    path: Below


class TargetCounts(Read):
    """Style targets that were in the cache, and that were computed."""

    hits: int = 0
    computed: int = 0


class Warned(Read):
    """A notice: its code, or empty in older records, and its words."""

    code: str = ""
    text: str

    @model_validator(mode="before")
    @classmethod
    def _of_older_versions(cls, data: Any) -> Any:
        return {"text": data} if isinstance(data, str) else data


class About(Made):
    """How a picture was made: a record without what is said of the output file.

    Attributes:
        deterministic: whether torch took deterministic algorithms alone.
        seconds: the job's share of its batch's time, by phase: read, targets, optimize, write.
        scales: width, height and steps of each.
        batch: what it was made among: `number`, `size` in jobs, `contents` of them that differ, and
            `threads` of a CPU.
        animation: its path below the run folder.
    """

    name: Below
    content: ContentInput
    style: StyleInput
    swept: dict[str, Any]
    device: str = "?"
    deterministic: bool = False
    finished: str = ""
    seconds: dict[str, float] = Field(default_factory=dict)
    targets: TargetCounts = Field(default_factory=TargetCounts)
    scales: list[tuple[int, int, int]] = Field(default_factory=list)
    batch: dict[str, int] = Field(default_factory=dict)
    attempts: int = 1
    warnings: list[Warned] = Field(default_factory=list)
    animation: Below | None = None

    @model_validator(mode="before")
    @classmethod
    def _of_older_versions(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and "seconds" in data:
            return {**data, "seconds": renamed(data["seconds"], _OLD_WORDS)}
        return data


class Record(About):
    """The JSON file beside a picture."""

    schema_version: int = Field(default=RECORD_SCHEMA, alias="schema")
    key: str
    output: Output

    def plain(self) -> dict[str, Any]:
        """As it stands in the file: it begins with what says whether the job is done."""
        whole = super().plain()
        first = {name: whole[name] for name in ("schema", "key", "output")}
        return first | whole


class Failure(Read):
    """One line of `failures.jsonl`: an attempt at a job that failed.

    Attributes:
        type: the error's class.
        content, style, style_parts, swept: what the job was to be made of; `file` as a record's
            `content.file`.
    """

    schema_version: int = Field(default=1, alias="schema")
    name: Below
    time: str = ""
    key: str = ""
    type: str = ""
    error: str = ""
    content: str = "?"
    file: str | None = None
    style: str = "?"
    style_parts: dict[str, float] = Field(default_factory=dict)
    swept: dict[str, Any] = Field(default_factory=dict)


# --- the run --------------------------------------------------------------------------------------


class SlotUse(Read):
    """What one slot did.

    Attributes:
        busy_s: time in batches; the rest of the run's time it was idle.
        phases_s: the same by phase: read, targets, optimize, write; the last one without what went
            on behind the next batch.
        sizes: batch size -> number of batches.
    """

    device: str
    batches: int = 0
    jobs: int = 0
    busy_s: float = 0.0
    busy_share: float = 0.0
    phases_s: dict[str, float] = Field(default_factory=dict)
    sizes: dict[int, int] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _of_older_versions(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and "phases_s" in data:
            return {**data, "phases_s": renamed(data["phases_s"], _OLD_WORDS)}
        return data


class PastRun(Read):
    """What a run of the folder did, in short.

    Attributes:
        done, failed: jobs in this run.
        retries: batches that were tried again after their worker died, hung or ran out of time.
        utilization: busy time of all slots over their whole time.
    """

    started: str = Field(default_factory=now)
    done: int = 0
    failed: int = 0
    retries: int = 0
    seconds: float = 0.0
    images_per_hour: float = 0.0
    utilization: float = 0.0

    @model_validator(mode="before")
    @classmethod
    def _of_older_versions(cls, data: Any) -> Any:
        return renamed(data, _OLD_WORDS)


class FailureNote(TypedDict):
    """A failure as the summary has it."""

    name: str
    type: str
    error: str


class Tally(TypedDict):
    """Jobs of one class or style: seen so far, done and failed."""

    jobs: int
    done: int
    failed: int


class Summary(PastRun):
    """Counts of a run; `run.json` is this, rewritten as it goes.

    Attributes:
        jobs: of the plan; of a shard about its part, until it has been counted to its end.
        looked_at: of these, those of which it is known by now whether they were done before.
        already_done: found done at the start.
        moved: of these, pictures of inputs that had been renamed or moved, taken along.
        stale: pictures that no job of the plan makes.
        out_of_memory: batches that had to be made smaller.
        stopped: whether the run was asked to stop before its end.
        problem: what ended the run early, or empty.
        targets_hits, targets_computed: style targets from the cache, and computed.
        next: names of some jobs that would be run next.
        classes, styles: jobs seen so far, done and failed, by the content's class and by style.
        warnings: how many notices of each code the manifest and the jobs of this run gave.
        told: of these, those of the manifest and the command, which are the same for all parts.
        part: which of several parts of a run it is, such as `1-of-4`; else empty.
        retired: slots that get no batch any more, and devices that cannot be used, each with the
            reason.
        videos: those of clips that were written, by name.
        videos_failed: those that could not be, and why.
        earlier: what earlier runs of this folder did, oldest first; those that found nothing to do
            are left out.
    """

    schema_version: int = Field(default=1, alias="schema")
    jobs: int
    looked_at: int = 0
    already_done: int = 0
    moved: int = 0
    stale: int = 0
    out_of_memory: int = 0
    stopped: bool = False
    problem: str = ""
    targets_hits: int = 0
    targets_computed: int = 0
    devices: list[str] = Field(default_factory=list)
    slots: dict[str, SlotUse] = Field(default_factory=dict)
    updated: str = ""
    ended: bool = False
    failures: list[FailureNote] = Field(default_factory=list)
    next: list[str] = Field(default_factory=list)
    warnings: dict[str, int] = Field(default_factory=dict)
    told: dict[str, int] = Field(default_factory=dict)
    part: str = ""
    retired: list[str] = Field(default_factory=list)
    videos: list[str] = Field(default_factory=list)
    videos_failed: dict[str, str] = Field(default_factory=dict)
    earlier: list[PastRun] = Field(default_factory=list)
    classes: dict[str, Tally] = Field(default_factory=dict)
    styles: dict[str, Tally] = Field(default_factory=dict)

    @property
    def own_warnings(self) -> dict[str, int]:
        """How many notices of each code are not those of all parts."""
        own = {code: count - self.told.get(code, 0) for code, count in self.warnings.items()}
        return {code: count for code, count in own.items() if count > 0}

    @property
    def exit_code(self) -> int:
        """0 all done, 1 some failed, 130 stopped."""
        return (
            130
            if self.stopped
            else int(self.failed > 0 or bool(self.problem or self.videos_failed))
        )

    def whole(self) -> dict[str, Any]:
        """All of it, as `run.json` has it."""
        return self.model_dump(mode="json", by_alias=True)


class SlotState(Read):
    """What a slot was last seen doing; news, not kept.

    Attributes:
        time: when, in seconds since 1970.
        jobs: of the batch, `job` the first of them.
        step, steps: done, and of the whole schedule; None before the first.
        loss: mean total loss, or None if it is not finite.
    """

    schema_version: int = Field(default=1, alias="schema")
    slot: str
    time: float
    pid: int
    device: str = "?"
    host: str = ""
    phase: str = ""
    batch: int = 0
    jobs: int = 0
    job: str = ""
    step: int | None = None
    steps: int | None = None
    loss: float | None = None
