"""Fitting a batch into memory: how many pictures at once, tiles of which size, and smaller when it
runs out; on a GPU whose memory others hold, waiting for it.

In: a seat, a network, a batch. Out: numbers. What fitted is remembered by the process.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from pipeline.errors import DeviceFullError, WorkerError
from pipeline.method import Backbone, Scale
from pipeline.plan import Batch
from pipeline.slot.memory import (
    SMALLEST_TILE,
    batch_limit,
    history_bytes,
    step_bytes,
    tile_side,
    vector_bytes,
)
from pipeline.slot.seat import Seat
from pipeline.slot.way import Stopped

# For how long a GPU's memory is waited for that others hold, and how often it is looked at.
_WAITS_S, _LOOKS_S = 20.0, 1.0
# Share of a device's memory above which what this process lacks is held by others.
_HELD = 0.25


class Fitting:
    """What of a batch goes through its network at once.

    Attributes:
        fits: how many jobs fitted at once after memory ran out, or None if it did not.
    """

    def __init__(self, seat: Seat, network: Backbone, batch: Batch) -> None:
        self.seat, self.network = seat, network
        self.last = batch.scales[-1]
        shared = batch.jobs[0].settings
        self.statistic = shared.style_loss
        self.neighbors = shared.neighbor_weight > 0
        self.pairs = shared.corrections if shared.optimizer == "lbfgs" else 0
        self.fits: int | None = None

    def _place(self, scale: Scale) -> tuple[str, str, int]:
        return self.seat.device, self.network.digest, scale.pixels

    def together(self, count: int, one_step: Callable[[], None]) -> int:
        """How many of `count` pictures to take at once: as fitted before, else as memory allows.

        Args:
            one_step: takes one step with one picture, so that its memory can be measured: that of
                the second, since the first also takes what libraries keep to work in.
        """
        known = self.seat.process.fits.get(self._place(self.last))
        if known is not None:
            return known
        each = self._step_bytes(self._factor(one_step))
        # A batch may have been packed for another device.
        most = batch_limit(self.seat.device, self.last.width, self.last.height)
        return max(1, min(count, most, int(self.seat.budget() / each)))

    def _factor(self, one_step: Callable[[], None]) -> float:
        """Measured over counted memory of a step: on a GPU, a step of one picture is measured, once
        for each size, since libraries choose their ways by it."""
        device = self.seat.device
        if not device.startswith("cuda"):
            # Sorted projections are as much again as the features that they are of.
            return 2.0 if self.statistic == "sliced_wasserstein" else 1.0
        factors, place = self.seat.process.factors, self._step
        if place not in factors:
            if self._side(self.last, 1.0, self.seat.budget()) != 0:
                return 1.0  # too large to be taken whole: the count has to do
            one_step()
            torch.cuda.reset_peak_memory_stats(device)
            before = torch.cuda.memory_allocated(device)
            one_step()
            peak = torch.cuda.max_memory_allocated(device) - before
            history = self.last.pixels * history_bytes(self.pairs)
            counted = self._step_bytes(1.0) - history
            factors[place] = max(0.1, (peak - history) / counted)
        return factors[place]

    @property
    def _step(self) -> tuple[str, str, int]:
        """What decides how much memory a step takes: device, network and losses, pixels."""
        network = self.network
        kind = (network.digest, str(network.dtype), network.padding, network.pooling)
        term = "neighbors" if self.neighbors else "alone"
        name = " ".join((*kind, self.statistic, term, *network.layers))
        return self.seat.device, name, self.last.pixels

    def _step_bytes(self, factor: float) -> float:
        return step_bytes(
            self.network, self.last.pixels, factor, neighbors=self.neighbors, pairs=self.pairs
        )

    def _side(self, scale: Scale, factor: float, allowed: float) -> int | None:
        return tile_side(
            self.network, scale.width, scale.height, allowed, factor,
            neighbors=self.neighbors, pairs=self.pairs,
        )  # fmt: skip

    def tile(self, scale: Scale) -> int:
        """Side of the tiles for one picture at a scale; 0 for none.

        Raises:
            WorkerError: not even the smallest tiles fit.
            DeviceFullError: they would if others did not hold the device's memory.
            Stopped: the run was asked to stop while that was waited for.
        """
        known = self.seat.process.tiles.get(self._place(scale))
        if known is not None:
            return known
        factor = self.seat.process.factors.get(self._step, 1.0)

        def side(allowed: float) -> int | None:
            return self._side(scale, factor, allowed)

        return self._when_there_is_room(side, scale.width, scale.height)

    def target_tile(self, network: Backbone, width: int, height: int) -> int:
        """The same for a style picture of this size through another network.

        Raises:
            WorkerError, DeviceFullError: as of `tile`.
        """
        beside = vector_bytes(network) if self.neighbors else 0.0

        def side(allowed: float) -> int | None:
            return tile_side(network, width, height, allowed, beside=beside)

        return self._when_there_is_room(side, width, height)

    def _when_there_is_room(
        self, side: Callable[[float], int | None], width: int, height: int
    ) -> int:
        """The side of tiles, by what may be taken; waited for where others hold the memory."""
        until = time.monotonic() + _WAITS_S
        while (found := side(self.seat.budget())) is None:
            if side(self.seat.budget(whole=True)) is None:
                raise self._too_large(width, height)
            if self.seat.context.store.live.stop_asked():
                raise Stopped
            if time.monotonic() >= until:
                raise self._full(width, height)
            time.sleep(_LOOKS_S)
        return found

    def shrink(self, count: int) -> None:
        """Memory ran out with `count` pictures at once: half of them, or smaller tiles for one.

        Raises:
            WorkerError, DeviceFullError: as of `tile`.
        """
        if self.seat.device.startswith("cuda"):
            torch.cuda.empty_cache()
        elif self.seat.device == "mps":
            torch.mps.empty_cache()
        if count > 1:
            self.fits = count // 2
            self.seat.process.fits[self._place(self.last)] = self.fits
            return
        tiles = self.seat.process.tiles
        place = self._place(self.last)
        side = tiles.get(place) or max(self.last.width, self.last.height)
        if side < 2 * SMALLEST_TILE:
            width, height = self.last.width, self.last.height
            whole = self.seat.budget(whole=True)
            fits = self._side(self.last, 1.0, whole) is not None
            others = self.seat.budget() < (1 - _HELD) * whole
            raise (self._full if fits and others else self._too_large)(width, height)
        tiles[place] = side // 2

    def _full(self, width: int, height: int) -> DeviceFullError:
        return DeviceFullError(
            f"other programs hold the memory of {self.seat.label}: what is left is too little for "
            f"one picture of {width} x {height} px, even in tiles; end them (nvidia-smi names "
            f"them), or leave the device out (--devices)"
        )

    def _too_large(self, width: int, height: int) -> WorkerError:
        return WorkerError(
            f"{self.seat.label} has too little memory for one picture of {width} x {height} px, "
            f"even in tiles; choose a smaller `size`, fewer workers (--devices) or another device"
        )
