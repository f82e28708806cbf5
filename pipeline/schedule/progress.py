"""What a person sees while a run works: a live view, plain lines when piped, or JSON lines.

In: outcomes from the scheduler and the slots' live state from the run folder. Out: text. Must not
load torch.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Protocol

from pipeline.store import RunFolder, SlotState
from pipeline.terminal import console, counted, line, say

_PLAIN_EVERY_S = 10.0
_QUIET_S = 30.0  # after which a log gets a line although no job has ended


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
        self.before = self.done = self.failed = 0
        self.work = 0.0  # that batches under way have done, in jobs
        self._told: set[str | None] = set()  # why jobs failed
        self._seen: Sequence[SlotState] = ()
        self._over: dict[str, int] = {}  # each slot's last batch of which jobs have ended

    @contextlib.contextmanager
    def watching(self, store: RunFolder, total: int) -> Iterator[None]:
        """Shows the run while the block runs."""
        self.began, self.total = time.monotonic(), total
        yield

    def skipped(self, count: int) -> None:
        """`count` jobs were found done so far."""
        self.before = count

    def update(self, outcomes: Sequence[Ended], done: int, failed: int) -> None:
        """Some jobs ended; `done` and `failed` count those of this run. Each reason of a failure is
        said once, with the first of its jobs: the log has them all."""
        self.done, self.failed = done, failed
        ended = {outcome.name for outcome in outcomes}
        self._over |= {state.slot: state.batch for state in self._seen if state.job in ended}
        self._count_work()
        reasons: dict[str | None, list[str]] = {}
        for outcome in outcomes:
            if outcome.status == "failed" and outcome.error not in self._told:
                reasons.setdefault(outcome.error, []).append(outcome.name)
        for error, names in reasons.items():
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            self.warn(f"failed: {names[0]}{more}: {error}")
        self._told |= reasons.keys()

    def warn(self, message: str, code: str = "") -> None:
        """Something that a person should read; `code` of a notice."""
        say(line(message), file=sys.stderr)

    @property
    def finished(self) -> int:
        """Jobs that have ended, in this run or before."""
        return self.before + self.done + self.failed

    def rate(self, done: float) -> float:
        """Images per hour of this run."""
        return 3600 * done / max(time.monotonic() - self.began, 1e-9)

    def look(self, states: Sequence[SlotState]) -> None:
        """What the slots do now."""
        self._seen = states
        self._count_work()

    def _count_work(self) -> None:
        under_way = [s for s in self._seen if s.steps and self._over.get(s.slot) != s.batch]
        steps = sum(s.jobs * (s.step or 0) / (s.steps or 1) for s in under_way)
        self.work = min(steps, max(0, self.total - self.finished))

    @contextlib.contextmanager
    def _looking(self, store: RunFolder) -> Iterator[None]:
        """Looks at the slots twice a second while the block runs."""
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(0.5):
                self.look(store.live.slots(own=True))

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()


class PlainProgress(Progress):
    """A line now and then, for logs."""

    def __init__(self) -> None:
        super().__init__()
        self.said = self.began

    @contextlib.contextmanager
    def watching(self, store: RunFolder, total: int) -> Iterator[None]:
        """Says a line after a while without any, while the block runs."""
        with super().watching(store, total), self._looking(store):
            self.said = self.began
            yield

    def look(self, states: Sequence[SlotState]) -> None:
        """Says how far the steps are where no job has ended for some time."""
        super().look(states)
        if time.monotonic() - self.said >= _QUIET_S:
            self._say()

    def update(self, outcomes: Sequence[Ended], done: int, failed: int) -> None:
        """Prints a line if the last one is some seconds old, or all is done."""
        first = not self.done + self.failed
        super().update(outcomes, done, failed)
        due = first or time.monotonic() - self.said >= _PLAIN_EVERY_S
        if outcomes and (due or self.finished >= self.total):
            self._say()

    def _say(self) -> None:
        self.said = time.monotonic()
        rate = self.rate(self.done + self.work)
        left = (self.total - self.finished - self.work) / rate * 3600 if rate else float("nan")
        share = (self.finished + self.work) / self.total if self.total else 0.0
        under_way = f" ({100 * share:.0f}% of the steps)" if self.work else ""
        print(
            f"{self.finished:,}/{counted(self.total, 'job')}{under_way}, {self.failed:,} failed, "
            f"{per_hour(rate)}, {duration(left)} left",
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


def make_progress(*, quiet: bool = False, as_json: bool = False) -> Progress:
    """The progress that fits: JSON lines, nothing, live bars on a terminal, else plain lines."""
    if as_json:
        return JsonProgress()
    if quiet:
        return Progress()
    if not sys.stderr.isatty() and not os.environ.get("FORCE_COLOR"):
        return PlainProgress()
    # Here alone: bars take a while to load.
    from pipeline.schedule.live_progress import LiveProgress

    shown = console(stderr=True)
    return LiveProgress(shown) if shown.is_terminal else PlainProgress()


def per_hour(rate: float) -> str:
    """A rate in images per hour as people read it.

    >>> per_hour(0.8), per_hour(12345.6)
    ('1 image/hour', '12,346 images/hour')
    """
    return f"{counted(round(rate), 'image')}/hour"


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
