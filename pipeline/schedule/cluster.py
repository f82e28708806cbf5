"""Batches on a cluster, through joblib's backends; `dask_cluster.py` and `ray_cluster.py` open one.

In: a feed of batches. Out: how each ended; of lost batches that cannot be told apart each is run
again alone. Workers see the same storage and find their own devices. Must not load torch, nor Dask
or Ray before they are asked for.
"""

from __future__ import annotations

import itertools
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import joblib

from pipeline.errors import EngineError
from pipeline.plan import Batch
from pipeline.schedule.blame import Blame
from pipeline.schedule.engine import Ended, Guarded, Work, guarded
from pipeline.schedule.feed import Feed
from pipeline.schedule.options import RunOptions
from pipeline.slot import RunContext, own_card, work_batch
from pipeline.version import ALGORITHM, __version__

_TOLD_S = 2.0  # for an answer to reach the cluster's scheduler
_ENDS_S = 60.0  # for a process to end


@dataclass
class ClusterEngine:
    """Runs batches through a joblib backend, whose workers find their devices.

    Attributes:
        backend: its name with joblib.
        lazy: whether the backend takes batches one by one; else a window at a time.
        gone: why the cluster does not answer any more, or empty.
        begin: how many batches at a time, -1 for one a core of the cluster, and what the backend is
            told of them; asked before each of its calls.
        devices: see `Engine`; workers find their own, which this machine need not have.
        cards: that answered, in the order in which they first did; `blame` has them by their place.
    """

    context: RunContext
    work: Work
    backend: str
    lazy: bool
    gone: Callable[[], str]
    begin: Callable[[], tuple[int, dict[str, Any]]] = lambda: (-1, {})
    devices: tuple[str, ...] = ("cpu",)
    cards: list[str] = field(default_factory=list)
    blame: Blame = field(default_factory=Blame)

    def run(self, feed: Feed) -> Iterator[Ended]:
        """See `Engine`."""
        while feed.peek() is not None:
            jobs, given = self.begin()
            with joblib.parallel_config(self.backend, **given):
                yield from self._round(feed, jobs)

    def _round(self, feed: Feed, jobs: int) -> Iterator[Ended]:
        """One `Parallel` call: one batch that wants to be alone, or all until the next such, or a
        window where the backend wants a plain list."""
        taken: dict[int, Batch] = {}
        numbers = itertools.count()
        window = math.inf if self.lazy else 4 * joblib.effective_n_jobs(jobs)

        def tasks() -> Iterator[Any]:
            alone = False
            while not alone and len(taken) < window and (following := feed.peek()) is not None:
                alone = following.alone
                if (alone and taken) or (batch := feed.next()) is None:
                    return
                number = next(numbers)
                taken[number] = batch
                yield joblib.delayed(_answer)(self.work, self.context, number, batch, self.lazy)

        try:
            for answer in self._results(jobs, tasks()):
                batch = taken.pop(answer.number)
                if answer.refused:
                    feed.put_back(batch)
                else:
                    yield self._judged(batch, answer)
        except Exception as error:  # each engine has its own; all mean lost batches
            cause = getattr(error, "cause", None) or error  # of what a worker raised, with Ray
            why = (str(cause).strip().splitlines() or [""])[0]
            lost, over = f"{type(cause).__name__}: {why}", self.gone()
            if not next(numbers):  # nothing was taken, nor would it be the next time
                raise EngineError(over or f"the cluster takes no batch ({lost})") from error
            for batch in list(taken.values()):
                yield Ended(batch, None, lost, together=len(taken) > 1, over=over)

    def _results(self, jobs: int, tasks: Iterator[Any]) -> Iterator[Answer]:
        if not self.lazy:
            yield from joblib.Parallel(n_jobs=jobs, batch_size=1)(list(tasks))
            return
        yield from joblib.Parallel(
            n_jobs=jobs,
            return_as="generator_unordered",
            batch_size=1,
            pre_dispatch="2*n_jobs",
        )(tasks)

    def _judged(self, batch: Batch, answer: Answer) -> Ended:
        """How a batch ended; a card that broke too often in a row gets none any more."""
        (report, lost, trace, broken), card = answer.found, answer.card
        if card not in self.cards:
            self.cards.append(card)
        ended = Ended(batch, report, lost, trace, broken)
        ended, why = self.blame.judge(self.cards.index(card), ended, died=False)
        if not why or not card or card in self.context.shunned:
            return ended
        self.context = replace(self.context, shunned=(*self.context.shunned, card))
        retired = (
            f"{card} gets no batch any more, after {why}: {lost}; its worker takes another GPU, or "
            f"the CPU"
        )
        return replace(ended, retired=retired)

    def kill(self) -> None:
        """Workers stop at their next step; the engine's own processes are not ours to end."""


# --- in a worker ----------------------------------------------------------------------------------


class Answer(NamedTuple):
    """What comes back of a batch.

    Attributes:
        number: which one it is.
        card: see `own_card`.
        refused: whether it was not begun, since the worker's device broke before.
    """

    number: int
    found: Guarded
    card: str
    refused: bool = False


_broken: list[str] = []  # how this process's device broke


def _answer(work: Work, context: RunContext, number: int, batch: Batch, ends: bool) -> Answer:
    """Runs a batch in a worker. What holds a broken device can do no more: it takes no batch.

    Args:
        ends: whether the process is to end then, for the cluster to start another. Where batches
            come in windows all answers would be lost with it, and each window has new ones.
    """
    if _broken:
        if ends:  # the cluster gives it to another when this one has ended
            time.sleep(_TOLD_S + _ENDS_S)
        return Answer(number, Guarded(None, _broken[0]), own_card(), refused=True)
    found = guarded(work, context, None, batch)
    if found.broken:
        _broken.append(found.lost)
        if ends:
            _end_when_told()
    return Answer(number, found, own_card())


def _end_when_told() -> None:
    """Ends this process once its answer has gone."""
    timer = threading.Timer(_TOLD_S, os._exit, (1,))
    timer.daemon = True
    timer.start()


# --- what both kinds of cluster say ---------------------------------------------------------------


def kinds_of(context: RunContext, gpus: bool) -> tuple[str, ...]:
    """What a cluster's workers run batches on.

    Args:
        gpus: whether one of them has a GPU.
    """
    chosen = context.devices.split(",")[0].strip()
    if chosen != "auto":
        return (chosen,)
    return ("cuda", "cpu") if gpus else ("cpu",)


def software(work: Work) -> tuple[str, int]:
    """On the cluster: that `work` could be loaded there, and of which version it is."""
    return __version__, ALGORITHM


def check_software(where: str, answer: object, options: RunOptions) -> None:
    """Pictures made by another version would stand under keys that are not theirs."""
    own = software(work_batch)
    if answer == own:
        return
    if isinstance(answer, Exception):
        said = (str(answer).strip().splitlines() or [type(answer).__name__])[-1]
        problem = f"cannot load nst {own[0]} ({said})"
    else:
        problem = f"has nst {answer[0]}, here it is {own[0]}"  # type: ignore[index]
    raise EngineError(
        f"--address {options.address}: {where} {problem}; install the same nst on every machine of "
        f"the cluster and start it again"
    )


def gone_text(what: str, where: str) -> str:
    """What is said of a cluster that was there when the run began."""
    return (
        f"{what} {where} does not answer any more; start it again, then give the same command: "
        f"what is done stays done"
    )


def no_cluster(what: str, options: RunOptions, error: Exception) -> EngineError:
    """What is said of a cluster that is not there, or does not start."""
    if options.address:
        return EngineError(
            f"--address {options.address}: no {what} answers ({error}); check address and firewall"
        )
    return EngineError(f"--engine {options.engine}: no {what} starts on this machine ({error})")
