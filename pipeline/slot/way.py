"""What a batch keeps and tells along the way: checkpoints, frames, news; and whether to stop.

In: steps. Out: files in the run folder; a `Stopped` when the run was asked to stop.
"""

from __future__ import annotations

import math
import os
import socket
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from pipeline.errors import RunFolderError
from pipeline.method import State, Step
from pipeline.notices import Notice
from pipeline.plan import Batch
from pipeline.slot.checkpoint import save_checkpoint
from pipeline.slot.curves import Curves
from pipeline.slot.frames import drop_frames, frame_every, write_frame
from pipeline.slot.seat import Seat
from pipeline.slot.styles import Prepared
from pipeline.slot.timer import Timer
from pipeline.store import RunFolder, SlotState

_NEWS_EVERY_S = 0.25
_WORTH_KEEPING_S = 5.0
_AFFORDABLE = 0.01  # the share of the time that checkpoints may take


class Stopped(Exception):  # noqa: N818 (a request, not an error)
    """The run was asked to stop."""


def tell(store: RunFolder, seat: Seat, batch: Batch, state: SlotState | None = None) -> None:
    """Writes what a slot is doing, and when it last got somewhere; at first, that it reads."""
    store.live.write_slot(state or slot_state(seat, batch, batch.jobs[0].name, len(batch.jobs)))


def slot_state(seat: Seat, batch: Batch, job: str, jobs: int, phase: str = "read") -> SlotState:
    """What a slot is doing now."""
    return SlotState(
        slot=seat.name,
        device=seat.label,
        host=socket.gethostname(),
        pid=os.getpid(),
        time=time.time(),
        batch=batch.number,
        jobs=jobs,
        job=job,
        phase=phase,
    )


class Way:
    """The way of one batch through its steps.

    Args:
        pool: in whose threads frames are written.
    """

    def __init__(
        self, store: RunFolder, seat: Seat, batch: Batch, pool: ThreadPoolExecutor, timer: Timer
    ) -> None:
        self.store, self.seat, self.batch, self.pool, self.timer = store, seat, batch, pool, timer
        self.frames: dict[str, list[Future[None]]] = {}
        self.last_news = self.looked = 0.0
        self.kept_at = time.monotonic()
        self.cost_s = 0.0  # of the last checkpoint
        self.lost = ""  # why one could not be written

    def begin(self, ready: Sequence[Prepared]) -> None:
        """Tells that the steps begin, of which the first may be long; removes frames of earlier
        attempts, where a job begins anew."""
        state = slot_state(self.seat, self.batch, ready[0].job.name, len(ready), "optimize")
        tell(self.store, self.seat, self.batch, state)
        for prepared in ready:
            if prepared.checkpoint is None and frame_every(prepared.job.settings, 1):
                frames = self.frames_of(prepared)
                wait(frames)  # all of them, also where one cannot be written
                for frame in frames:
                    frame.result()
                drop_frames(self.store, prepared.job)

    def frames_of(self, prepared: Prepared) -> list[Future[None]]:
        """The frames of a job that are being written; nobody else is given them."""
        return self.frames.pop(prepared.job.key, [])

    def notices(self) -> tuple[Notice, ...]:
        """What a person should know of the way, said once a process."""
        if not self.lost or self.seat.process.checkpoints_lost:
            return ()
        self.seat.process.checkpoints_lost = True
        said = f"no checkpoint is kept, and a job that breaks off begins anew: {self.lost}"
        return (Notice("no_checkpoint", said),)

    def after(self, step: Step, ready: Sequence[Prepared], curves: Curves) -> None:
        """Keeps frames, tells who watches, keeps checkpoints.

        Raises:
            Stopped: the run was asked to stop.
        """
        self._keep_frames(step, ready)
        moment = time.monotonic()
        if moment - self.last_news < _NEWS_EVERY_S or step.number == step.total:
            return
        self.last_news = moment
        every = self.seat.context.checkpoint_every_s
        stopping = self.store.live.stop_asked()
        pause = _WORTH_KEEPING_S if stopping else max(every, self.cost_s / _AFFORDABLE)
        if every and moment - self.kept_at > pause:
            self._keep(step.state, ready, curves)
        if stopping:
            raise Stopped
        self._tell(step, ready)

    def ended(self, step: Step | None, ready: Sequence[Prepared], curves: Curves) -> None:
        """Where the run stops within a step: keeps a checkpoint of the last whole one."""
        every, age = self.seat.context.checkpoint_every_s, time.monotonic() - self.kept_at
        if step is not None and every and age > _WORTH_KEEPING_S:
            self._keep(step.state, ready, curves)

    def look(self) -> None:
        """Within a long step, which is lost where it ends there; those before it are not.

        Raises:
            Stopped: the run was asked to stop.
        """
        moment = time.monotonic()
        if moment - self.looked < _NEWS_EVERY_S:
            return
        self.looked = moment
        if self.store.live.stop_asked():
            raise Stopped

    def _tell(self, step: Step, ready: Sequence[Prepared]) -> None:
        loss = float(step.losses.total.mean())
        state = slot_state(self.seat, self.batch, ready[0].job.name, len(ready), "optimize")
        state.step, state.steps = step.number, step.total
        state.loss = loss if math.isfinite(loss) else None
        tell(self.store, self.seat, self.batch, state)

    def _keep(self, state: State, ready: Sequence[Prepared], curves: Curves) -> None:
        """Writes a checkpoint of each job, if it can."""
        began = time.monotonic()
        try:
            with self.timer.phase("checkpoint"):
                for index, (prepared, curve) in enumerate(zip(ready, curves.values(), strict=True)):
                    save_checkpoint(self.store, prepared.job.key, state, index, curve)
        except RunFolderError as error:  # it would only have saved time
            self.lost = str(error)
        self.kept_at = time.monotonic()
        self.cost_s = self.kept_at - began

    def _keep_frames(self, step: Step, ready: Sequence[Prepared]) -> None:
        """Has pictures of the way there written, of the jobs that want one at this step."""
        everies = [frame_every(p.job.settings, step.total) for p in ready]
        due = [bool(every) and step.number % every == 0 for every in everies]
        if not any(due):
            return
        images = step.images.cpu()
        for prepared, image, wanted in zip(ready, images, due, strict=True):
            if wanted:
                saved = self.pool.submit(write_frame, self.store, prepared, step.number, image)
                self.frames.setdefault(prepared.job.key, []).append(saved)
