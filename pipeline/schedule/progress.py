"""What a person sees while a run works: a live view, plain lines when piped, or JSON lines.

In: outcomes from the scheduler and the slots' live state from the run folder. Out: text. Must not
load torch.
"""

from __future__ import annotations

import contextlib
import json
import math
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress

from pipeline.store import RunFolder, SlotState
from pipeline.terminal import console, line, say

_PLAIN_EVERY_S = 10.0
_NAMES_SHOWN = 10  # of jobs that failed together for one reason


class Ended(Protocol):
    """What progress needs to know of a job that ended."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def status(self) -> str: ...  # noqa: D102
    @property
    def error(self) -> str | None: ...  # noqa: D102
    @property
    def seconds(self) -> float: ...  # noqa: D102


class Progress:
    """Shows nothing; the base of the others, and what `--quiet` uses (errors still show)."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.total = 0
        self.before = 0

    @contextlib.contextmanager
    def watching(self, store: RunFolder, total: int) -> Iterator[None]:
        """Shows the run while the block runs."""
        self.began, self.total = time.monotonic(), total
        yield

    def skipped(self, count: int) -> None:
        """`count` jobs were found done so far."""
        self.before = count

    def update(self, outcomes: Sequence[Ended], done: int, failed: int) -> None:
        """Some jobs ended; `done` and `failed` count those of this run."""
        reasons: dict[str | None, list[str]] = {}
        for outcome in outcomes:
            if outcome.status == "failed":
                reasons.setdefault(outcome.error, []).append(outcome.name)
        for error, names in reasons.items():
            for name in names[:_NAMES_SHOWN]:
                self.warn(f"failed: {name}: {error}")
            if len(names) > _NAMES_SHOWN:
                self.warn(f"failed: {len(names) - _NAMES_SHOWN} more: {error}")

    def warn(self, message: str, code: str = "") -> None:
        """Something that a person should read; `code` of a notice."""
        say(line(message), file=sys.stderr)

    def rate(self, done: int) -> float:
        """Images per hour of this run."""
        return 3600 * done / max(time.monotonic() - self.began, 1e-9)


class PlainProgress(Progress):
    """A line now and then, for logs."""

    def __init__(self) -> None:
        super().__init__()
        self.said = 0.0

    def update(self, outcomes: Sequence[Ended], done: int, failed: int) -> None:
        """Prints a line if the last one is some seconds old, or all is done."""
        super().update(outcomes, done, failed)
        moment = time.monotonic()
        finished = self.before + done + failed
        if not outcomes or (moment - self.said < _PLAIN_EVERY_S and finished < self.total):
            return
        self.said = moment
        rate = self.rate(done)
        left = (self.total - finished) / rate * 3600 if rate else float("nan")
        print(
            f"{finished}/{self.total} jobs, {failed} failed, {rate:.0f} images/hour, "
            f"{duration(left)} left",
            flush=True,
        )


class JsonProgress(Progress):
    """One JSON object a job that ends, on standard output."""

    def update(self, outcomes: Sequence[Ended], done: int, failed: int) -> None:
        """Prints a line for each outcome."""
        for outcome in outcomes:
            line = {
                "event": outcome.status,
                "name": outcome.name,
                "seconds": round(outcome.seconds, 3),
                "finished": self.before + done + failed,
                "jobs": self.total,
                "images_per_hour": round(self.rate(done), 1),
            }
            if outcome.error:
                line["error"] = outcome.error
            print(json.dumps(line), flush=True)

    def warn(self, message: str, code: str = "") -> None:
        """A JSON object on standard output."""
        coded = {"code": code} if code else {}
        print(json.dumps({"event": "warning", **coded, "message": message}), flush=True)


class LiveProgress(Progress):
    """A bar for the run and a line for each slot, on a terminal."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self.console = console
        self.bars = RichProgress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            TimeRemainingColumn(compact=True),
            console=console,
            expand=True,
        )
        self.run = self.bars.add_task("jobs", total=None, note="")
        self.slots: dict[str, Any] = {}
        self.ended: dict[str, int] = {}  # jobs of the batches that each slot has left behind
        self.batches: dict[str, tuple[int, int]] = {}  # each slot's batch, and its jobs

    @contextlib.contextmanager
    def watching(self, store: RunFolder, total: int) -> Iterator[None]:
        """Shows the bars, and reads the slots' state twice a second, while the block runs."""
        self.began, self.total = time.monotonic(), total
        self.bars.update(self.run, total=total)
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(0.5):
                self._show_slots(store.live.slots())

        watcher = threading.Thread(target=watch, daemon=True)
        with self.bars:
            watcher.start()
            try:
                yield
            finally:
                ended.set()
                watcher.join()

    def _show_slots(self, states: Sequence[SlotState]) -> None:
        for state in states:
            if state.slot not in self.slots:
                self.slots[state.slot] = self.bars.add_task("", total=1, note="")
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
        self.before = count
        self.bars.update(self.run, completed=count)

    def update(self, outcomes: Sequence[Ended], done: int, failed: int) -> None:
        """Moves the bar and says the rate."""
        super().update(outcomes, done, failed)
        note = f"{self.rate(done):.0f}/h" + (f" {failed} failed" if failed else "")
        self.bars.update(self.run, completed=self.before + done + failed, note=note)

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


def make_progress(*, quiet: bool = False, as_json: bool = False) -> Progress:
    """The progress that fits: JSON lines, nothing, live bars on a terminal, else plain lines."""
    if as_json:
        return JsonProgress()
    if quiet:
        return Progress()
    shown = console(stderr=True)
    return LiveProgress(shown) if shown.is_terminal else PlainProgress()


def duration(seconds: float) -> str:
    """A time as people read it, or `?` for what is not known.

    >>> duration(3723.4), duration(float("nan"))
    ('1:02:03', '?')
    """
    if not math.isfinite(seconds):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
