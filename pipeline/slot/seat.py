"""Where a batch runs: a slot's device, and the networks and the memory that it has there.

In: a run's context and a slot's number. Out: a `Seat`.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

import torch

from pipeline.manifest import Settings
from pipeline.method import Backbone
from pipeline.slot.ahead import FILE_THREADS
from pipeline.slot.memory import budget
from pipeline.slot.messages import RunContext
from pipeline.slot.process import Process
from pipeline.slot.visible import in_own_process


@dataclass(frozen=True)
class Seat:
    """A slot, seen from within its process.

    Attributes:
        name: the slot's, in records of what it did.
        device: such as `cuda:0`, as torch knows it in this process.
        label: the device as the user knows it.
    """

    context: RunContext
    process: Process
    name: str
    device: str
    label: str

    def network(self, settings: Settings, dtype: torch.dtype) -> Backbone:
        """The network for these settings, on this device; see `Networks.get`."""
        return self.process.networks.get(self.context, settings, dtype, self.device)

    def budget(self, *, whole: bool = False) -> float:
        """Bytes that a step may take here.

        Args:
            whole: if no other program held any of the device's memory.
        """
        return budget(self.device, self.context.slots.count(self.label), whole=whole)

    @property
    def file_threads(self) -> int:
        """Threads that decode and encode pictures beside the step loop."""
        if self.context.threads:
            return min(FILE_THREADS, self.context.threads)
        share = self.process.cores // max(1, len(self.context.slots))
        return max(1, min(FILE_THREADS, share))


def take_seat(context: RunContext, slot: int | None, process: Process) -> Seat:
    """The seat of a slot.

    Args:
        slot: the slot's number in `context.slots`, or None for an engine's own worker, which takes
            what `context.devices` says.
    """
    if slot is not None:
        label = context.slots[slot]
        device = in_own_process(label) if context.isolated else label
        return Seat(context, process, str(slot), device, label)
    chosen = context.devices.split(",")[0].strip()
    device = process.own_device(chosen, context.shunned)
    return Seat(context, process, f"{socket.gethostname()}-{os.getpid()}", device, device)
