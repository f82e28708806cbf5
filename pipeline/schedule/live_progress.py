"""A run's progress on a terminal: a bar, and a line for each slot.

In: outcomes and what slots do. Out: bars.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress

from pipeline.schedule.progress import Ended, Progress
from pipeline.store import RunFolder, SlotState
from pipeline.terminal import line


class LiveProgress(Progress):
    """A bar for the run and a line for each slot, on a terminal."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self.console = console
        self.bars = RichProgress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[count]}", markup=False),
            TextColumn("{task.fields[note]}", markup=False),
            TimeRemainingColumn(compact=True),
            console=console,
            expand=True,
        )
        self.run = self.bars.add_task("jobs", total=None, note="", count="")
        self.slots: dict[str, Any] = {}
        self.ended: dict[str, int] = {}  # jobs of the batches that each slot has left behind
        self.batches: dict[str, tuple[int, int]] = {}  # each slot's batch, and its jobs

    @contextlib.contextmanager
    def watching(self, store: RunFolder, total: int) -> Iterator[None]:
        """Shows the bars while the block runs."""
        with super().watching(store, total), self.bars, self._looking(store):
            self._move()
            yield

    def _move(self) -> None:
        """The bar moves with the steps; the number beside it is of jobs that have ended."""
        share = (self.finished + self.work) / self.total if self.total else 0.0
        rate = f"{self.rate(self.done):.0f}/h" if self.done else ""
        failed = f"{self.failed} failed" if self.failed else ""
        self.bars.update(
            self.run,
            total=self.total,
            completed=max(self.finished + self.work, self.bars.tasks[0].completed),
            count=f"{self.finished}/{self.total} {100 * share:.0f}%",
            note=" ".join(filter(None, (rate, failed))),
        )

    def look(self, states: Sequence[SlotState]) -> None:
        """Shows each slot, and moves the bar."""
        super().look(states)
        self._move()
        for state in states:
            if state.slot not in self.slots:
                self.slots[state.slot] = self.bars.add_task("", total=1, note="", count="")
            more = f" +{state.jobs - 1}" if state.jobs > 1 else ""
            name = shorten(state.job.rsplit("/", 1)[-1], max(12, self.console.width // 3 - 6))
            notes = [state.phase if state.loss is None else f"loss {state.loss:.3g}"]
            ended = self._ended(state.slot, state.batch, state.jobs)
            if ended and self.console.width >= 100:
                notes.append(f"{self.rate(ended):.0f}/h")
            self.bars.update(
                self.slots[state.slot],
                description=f"{state.device} #{state.batch} {name}{more}",
                completed=state.step or 0,
                total=state.steps or 1,
                count=f"{state.step or 0}/{state.steps or 1}",
                note=" ".join(notes),
            )

    def _ended(self, slot: str, batch: int, jobs: int) -> int:
        """How many jobs a slot has ended, seen from the batches that it went on from."""
        last, held = self.batches.get(slot, (batch, jobs))
        if batch != last:
            self.ended[slot] = self.ended.get(slot, 0) + held
        self.batches[slot] = (batch, jobs)
        return self.ended.get(slot, 0)

    def skipped(self, count: int) -> None:
        """Moves the bar over jobs that were done before."""
        super().skipped(count)
        self._move()

    def update(self, outcomes: Sequence[Ended], done: int, failed: int) -> None:
        """Moves the bar and says the rate."""
        super().update(outcomes, done, failed)
        self._move()

    def warn(self, message: str, code: str = "") -> None:
        """Above the bars."""
        self.console.print(line(message), style="yellow", highlight=False, soft_wrap=True)


def shorten(text: str, width: int) -> str:
    """The text with its middle left out where it is longer than `width` characters.

    >>> shorten("abcdefghij", 7)
    'abc…hij'
    """
    if len(text) <= width:
        return text
    return f"{text[: width // 2]}…{text[len(text) - (width - 1) // 2 :]}"
