"""What a worker process keeps between batches: networks, what fitted its memory, pictures read
ahead.

In: what batches ask for. Out: the same object as before, where there is one. `PROCESS` is the one
that this process owns; whoever wants a fresh start makes another.
"""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
import threading
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import torch
from filelock import FileLock, Timeout

from pipeline.manifest import Settings
from pipeline.method import Backbone, Padding, Pooling, Weights, load_weights
from pipeline.slot.ahead import Pools, ReadAhead
from pipeline.slot.allocator import keep_freed_memory
from pipeline.slot.compiling import Seen, compiled, make_room
from pipeline.slot.cores import available_cores, keep_near
from pipeline.slot.kept import Kept
from pipeline.slot.messages import RunContext
from pipeline.slot.preflight import ask_devices
from pipeline.store import load_means, normalized


class NetworkKey(NamedTuple):
    """All that a network is made of."""

    name: str
    file: Path | str | None
    preprocessing: str | None
    cache: Path
    means: Path | None
    layers: tuple[str, ...]
    pooling: Pooling
    pooling_scale: float
    padding: Padding
    dtype: torch.dtype
    device: str


class Networks:
    """Weights and networks, the last few of each: those of a run's several backbones stay, since
    the largest, VGG-19's, are 80 MB."""

    def __init__(self) -> None:
        self._weights = lru_cache(maxsize=4)(_load)
        self._made = lru_cache(maxsize=8)(self._make)
        self._compiled = lru_cache(maxsize=8)(compiled)
        self._seen: set[tuple[int, Seen]] = set()
        self._lock = threading.Lock()  # so that two threads do not load the same

    def get(
        self, context: RunContext, settings: Settings, dtype: torch.dtype, device: str
    ) -> Backbone:
        """The network that a run's jobs with these settings go through.

        Raises:
            BackboneError: a layer that it does not have.
            WeightsError: its weights are missing or damaged.
        """
        files = context.network(settings)
        key = NetworkKey(
            files.backbone,
            files.weights,
            files.preprocessing,
            context.cache,
            files.means if settings.normalized else None,
            settings.layers,
            settings.pooling,
            settings.pooling_scale,
            settings.padding,
            dtype,
            device,
        )
        with self._lock:
            return self._made(key)

    def _make(self, key: NetworkKey) -> Backbone:
        weights = self._weights(key.name, key.file, key.preprocessing, key.cache, key.means)
        network = Backbone(
            weights, key.layers, key.pooling, key.padding, key.dtype, key.pooling_scale
        )
        return network.to(key.device)

    def digest(self, context: RunContext, settings: Settings) -> str:
        """Of the weights of the network for these settings, which need not be on a device.

        Raises:
            WeightsError: they are missing or damaged.
        """
        files = context.network(settings)
        means = files.means if settings.normalized else None
        given = (files.backbone, files.weights, files.preprocessing, context.cache, means)
        with self._lock:
            return self._weights(*given).digest

    def compiled(self, network: Backbone, shapes: Iterable[Seen]) -> Backbone:
        """The same network, compiled by torch when it first sees a size: a minute, once a size.

        Args:
            shapes: of what it is about to see.
        """
        self._seen.update((id(network), shape) for shape in shapes)
        make_room(len(self._seen))
        return self._compiled(network)


def _load(
    name: str,
    file: Path | str | None,
    preprocessing: str | None,
    cache: Path,
    means: Path | None,
) -> Weights:
    weights = load_weights(name, file, preprocessing, cache)
    return normalized(weights, load_means(means)) if means else weights


@dataclass
class Process:
    """What one process keeps.

    Attributes:
        fits: how many pictures of so many pixels fitted a device with a network, where memory ran
            out before; by device, the network's digest and pixels.
        tiles: likewise the side of tiles in px.
        factors: memory that a step was measured to take on a GPU over what was counted, by device,
            network and pixels.
        styles: style targets that jobs share.
        not_compiled: why torch could not compile here, once it was tried; empty before.
        checkpoints_lost: whether it was said that a checkpoint could not be written.
        held: locks of the GPU that an engine's worker took; the system frees them when it ends.
        cores: that the process may use, before it keeps to those near its GPU.
        began: when its last batch began, by `time.perf_counter`.
        files: threads that write pictures behind the steps.
        own, card: the device that an engine's worker took, and its host and GPU; empty before that,
            and the latter for other devices.
    """

    networks: Networks = field(default_factory=Networks)
    ahead: ReadAhead = field(default_factory=ReadAhead)
    fits: dict[tuple[str, str, int], int] = field(default_factory=dict)
    tiles: dict[tuple[str, str, int], int] = field(default_factory=dict)
    factors: dict[tuple[str, str, int], float] = field(default_factory=dict)
    styles: Kept = field(default_factory=Kept)
    not_compiled: str = ""
    checkpoints_lost: bool = False
    held: list[FileLock] = field(default_factory=list)
    cores: int = field(default_factory=available_cores)
    began: float = 0.0
    files: Pools = field(default_factory=Pools)
    own: str = ""
    card: str = ""

    def forget(self) -> None:
        """Lets go of all but the GPU: in a process that outlives a run files may have changed."""
        self.networks, self.styles, self.ahead = Networks(), Kept(), ReadAhead()
        self.fits, self.tiles, self.factors = {}, {}, {}
        self.not_compiled, self.checkpoints_lost = "", False

    def own_device(self, chosen: str = "auto", shunned: Collection[str] = ()) -> str:
        """The device of an engine's worker, held until the process ends: the first GPU that works
        and that no other worker of this user on this host holds; the CPU where there is none.

        A GPU's gets one thread and the cores near it, as a slot's worker of its own machine does.

        Args:
            chosen: a device for all workers instead, or `auto`.
            shunned: cards that get no batch any more; see `card`.
        """
        if not self.own or self.card in shunned:
            self.own, self.card = self._find_own(chosen, shunned)
            if self.card:  # on a CPU the process is not ours alone
                settle(self.own)
        return self.own

    def _find_own(self, chosen: str, shunned: Collection[str]) -> tuple[str, str]:
        """A device, and its card."""
        if chosen != "auto":
            index = int(chosen.partition(":")[2] or 0)
            if not chosen.startswith("cuda") or index >= torch.cuda.device_count():
                return chosen, ""  # what is not there is told by whoever uses it
            card = _card(index)
            return ("cpu", "") if card in shunned else (f"cuda:{index}", card)
        # Nobody may open another's file for writing in most systems' shared folder.
        user = f"{os.getuid()}-" if hasattr(os, "getuid") else ""
        for index in range(torch.cuda.device_count()):
            name, card = _uuid(index), _card(index)
            if card in shunned:
                continue
            lock = FileLock(Path(tempfile.gettempdir()) / f"nst-{user}{name}.lock")
            with contextlib.suppress(Timeout):
                lock.acquire(timeout=0)
                self.held.append(lock)  # of one that does not work too, for others not to try it
                (health,) = ask_devices([f"cuda:{index}"])
                if not health.problem:
                    return health.device, card
        return "cpu", ""


def _uuid(index: int) -> str:
    return str(torch.cuda.get_device_properties(index).uuid)


def _card(index: int) -> str:
    """A card as a cluster knows it: a process may see it alone, whatever its number."""
    return f"{socket.gethostname()}, GPU {_uuid(index)}"


PROCESS = Process()


def settle(device: str) -> None:
    """In a new worker that has a device to itself: a GPU's needs one thread beside those that read
    and write pictures, and the cores on its side of the machine; a CPU's keeps its memory."""
    if device == "cpu":
        keep_freed_memory()
    if not device.startswith("cuda"):
        return
    torch.set_num_threads(1)
    about = torch.cuda.get_device_properties(device)
    domain, bus, slot = (
        getattr(about, f"pci_{part}_id", -1) for part in ("domain", "bus", "device")
    )
    if bus >= 0:  # older versions of torch do not say
        keep_near(f"{domain:04x}:{bus:02x}:{slot:02x}.0")


def forget_all() -> None:
    """Lets go of what this process keeps."""
    PROCESS.forget()
