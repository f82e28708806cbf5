"""What a run folder says of itself beside its records: plan, network, owner, shards, videos.

In: parsed JSON of a file. Out: frozen values; what is not of the form is a `ValidationError`. Knows
no paths. Must not load torch.
"""

from __future__ import annotations

import os
import socket
from typing import Annotated, Any

from pydantic import Field

from pipeline.store.forms import Read
from pipeline.store.made import Below


class Owner(Read):
    """Who holds a run folder.

    Attributes:
        beat: of a remote one, how many signs of life there were.
    """

    host: str
    pid: int = Field(gt=0)
    since: str
    beat: int = 0


def is_alive(owner: Owner) -> bool | None:
    """Whether the process that holds a run folder lives; see `process_lives`."""
    return process_lives(owner.host, owner.pid)


def process_lives(host: str, pid: int) -> bool | None:
    """Whether a process lives; None where that cannot be seen from here, on another machine or on
    Windows."""
    if host != socket.gethostname() or os.name == "nt":
        return None
    try:
        os.kill(pid, 0)
    except PermissionError:  # somebody else's
        pass
    except (ProcessLookupError, OverflowError):
        return False
    return not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    """Whether a process has ended and its number is only kept for its parent, as in a container
    whose first process waits for nobody."""
    import psutil  # here alone: it takes a while to load

    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:  # just now
        return True
    except psutil.AccessDenied:
        return False


# Of a run's network, what its manifest says.
BACKBONE_KEYS = ("name", "weights", "preprocessing")


class BackboneHeader(Read):
    """A network of a run: its name, where its weights come from, a digest, and what they are.

    Attributes:
        said: of one of several, or of `--set`, whether it is said where its weights come from.
    """

    name: str
    weights: str | None = None
    weights_sha256: str = ""
    preprocessing: str | None = None
    about: str = ""
    said: bool = False


class PlanHeader(Read):
    """`plan.json`: what the run was planned to be.

    Attributes:
        backbone: the network of jobs whose settings name none, or the first there is.
        backbones: of a run with several, all of them.
        begun: of a run with `--set backbone`, the network that one without it goes on with, `auto`
            where none was chosen yet; None where that is `backbone`.
        folder, run: the manifest's folder and the run's, as they were; empty in older files.
        jobs, pairs, contents, styles: how many.
        grid: the swept settings' values.
        settings: those of every job, as the manifest has them.
        devices: of the slots.
        presets: the version of each preset; of those that are not there, the first.
        naming: the version of how outputs are named.
        style_names: name -> identity of each style that ever was in the run.
    """

    schema_version: int = Field(default=1, alias="schema")
    backbone: BackboneHeader
    backbones: list[BackboneHeader] = Field(default_factory=list)
    begun: BackboneHeader | None = None
    manifest: str = ""
    folder: str = ""
    run: str = ""
    jobs: int = 0
    pairs: int = 0
    contents: int = 0
    styles: int = 0
    grid: dict[str, list[Any]] = Field(default_factory=dict)
    settings: dict[str, Any] = Field(default_factory=dict)
    algorithm: int = 0
    versions: dict[str, str] = Field(default_factory=dict)
    devices: list[str] = Field(default_factory=list)
    presets: dict[str, int] = Field(default_factory=dict)
    naming: int = 1
    style_names: dict[str, str] = Field(default_factory=dict)

    @property
    def kept(self) -> BackboneHeader:
        """The network that the folder goes on with where none is named."""
        return self.begun or self.backbone


class ShardIndex(Read):
    """What is in a tar shard of so many bytes: the jobs' names and keys."""

    bytes: int
    jobs: dict[str, str]


class StaleList(Read):
    """`stale.json`: pictures, below the run folder, that no job of its plan makes, and names of
    jobs that failed and that it has no more, or that are done as they are now; and of jobs in
    shards that it has no more."""

    schema_version: int = Field(default=1, alias="schema")
    pictures: list[Annotated[Below, Field(pattern="^images/.")]]
    failures: list[str] = Field(default_factory=list)
    packed: list[str] = Field(default_factory=list)


class VideoRecord(Read):
    """The JSON file beside a video.

    Attributes:
        key: of all that decides the video.
        bytes: of the video.
        frames: their pictures below the run folder.
        rate: frames a second, a fraction.
        sound: the video whose sound it has.
    """

    schema_version: int = Field(default=1, alias="schema")
    key: str
    bytes: int
    frames: list[str] = Field(default_factory=list)
    rate: str = ""
    sound: str | None = None
