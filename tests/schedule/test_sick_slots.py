"""Slots that are at fault themselves: their process dies, hangs or cannot begin, or others hold
their memory. It costs no job, and the slot gets no more of them."""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from fake_work import fake_work
from worlds import World, until

from pipeline.errors import DeviceFullError
from pipeline.plan import Batch
from pipeline.schedule import Patience, Progress, RunOptions, run_plan
from pipeline.schedule.feed import may_take
from pipeline.slot import Report, RunContext
from pipeline.store import RunLock, SlotState, Summary

_FULL = "other programs hold the memory of cuda:1"


@pytest.fixture(autouse=True)
def single(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job a batch."""
    monkeypatch.setattr("pipeline.schedule.run.limit_of", lambda slots: lambda w, h: 1)


def others(context: RunContext, slot: int | None, batch: Batch) -> Report:
    """What the healthy slot does: it gets on while the sick one loses its three."""

    def said(words: str, times: int) -> bool:
        live = SlotState(slot=str(slot), time=time.time(), pid=os.getpid())
        context.store.live.write_slot(live)
        return context.store.log.read_text().count(words) >= times

    seed = batch.jobs[0].settings.seed
    if seed > 4:
        until(lambda: said("trying again", 1 if seed < 9 else 2))
    if seed > 11:
        until(lambda: said("gets no batch any more", 1))
    return fake_work(context, slot, batch)


def dies(context: RunContext, slot: int | None, batch: Batch) -> Report:
    if slot == 1:
        os.abort()
    return others(context, slot, batch)


def hangs(context: RunContext, slot: int | None, batch: Batch) -> Report:
    if slot == 1:
        time.sleep(600)
    return others(context, slot, batch)


def is_full(context: RunContext, slot: int | None, batch: Batch) -> Report:
    if slot == 1:
        raise DeviceFullError(_FULL)
    return others(context, slot, batch)


@pytest.mark.parametrize(
    ("work", "options", "said"),
    [
        (dies, {}, "3 in a row that were lost: its worker process died with SIGABRT"),
        (
            hangs,
            {"patience": Patience(stall_s=0.5)},
            "3 in a row that were lost: the worker got nowhere for 0.5 s",
        ),
        (is_full, {}, f"3 in a row that broke it: {_FULL}"),
    ],
)
def test_a_slot_that_loses_what_others_make_is_retired(
    world: Callable[[list[int]], World], work: Any, options: dict[str, Any], said: str
) -> None:
    here = world(list(range(16)))
    summary = here.run(slots=2, work=work, **options)
    assert (summary.done, summary.failed, summary.problem) == (16, 0, "")
    (retired,) = summary.retired
    assert retired.startswith("slot 1 (cpu) gets no batch any more, after " + said)


def run_with(here: World, *slots: str) -> Summary:
    context = replace(here.context(), slots=slots)
    with RunLock(here.store):
        here.store.begin("", {})
        return run_plan(here.plan, context, Progress(), RunOptions(), fake_work)


def python_without_a_home(device: str, deterministic: bool = False) -> dict[str, str]:
    """For GPUs, an environment in which no process gets as far as its first batch."""
    return {"PYTHONHOME": "/nowhere"} if device.startswith("cuda") else {}


@pytest.fixture
def gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.schedule.worker.own_environment", python_without_a_home)


@pytest.mark.usefixtures("gone")
def test_a_slot_that_cannot_begin_costs_no_job(world: Callable[[list[int]], World]) -> None:
    summary = run_with(world(list(range(6))), "cpu", "cuda:0")
    assert (summary.done, summary.failed, summary.problem) == (6, 0, "")
    assert all("could not begin" in line for line in summary.retired)


@pytest.mark.usefixtures("gone")
def test_where_no_slot_can_begin_the_run_ends_with_the_reason(
    world: Callable[[list[int]], World],
) -> None:
    summary = run_with(world(list(range(6))), "cuda:0", "cuda:1")
    assert (summary.done, summary.failed, summary.exit_code) == (0, 0, 1)
    assert summary.problem.startswith("no slot is left; the last: slot")
    assert "its worker could not begin: its worker process died" in summary.problem
    assert len(summary.retired) == 2


def full_or_dead(context: RunContext, slot: int | None, batch: Batch) -> Report:
    raise DeviceFullError(_FULL)


def test_the_only_device_being_full_fails_no_job(world: Callable[[list[int]], World]) -> None:
    summary = world([1, 2, 3]).run(work=full_or_dead)
    assert (summary.done, summary.failed, summary.exit_code) == (0, 0, 1)
    assert summary.problem.endswith(_FULL)


def breaks_after_two(context: RunContext, slot: int | None, batch: Batch) -> Report:
    if batch.jobs[0].settings.seed > 1:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")
    return fake_work(context, slot, batch)


def test_a_broken_device_of_this_process_ends_the_run(
    world: Callable[[list[int]], World],
) -> None:
    here = world(list(range(6)))
    summary = here.run(work=breaks_after_two, engine="inline")
    assert (summary.done, summary.failed, summary.exit_code) == (2, 0, 1)
    assert "illegal memory access" in summary.problem
    assert here.run(engine="inline").done == 4


def dies_always(context: RunContext, slot: int | None, batch: Batch) -> Report:
    os.abort()


def test_of_one_slot_that_loses_all_ten_batches_are_tried(
    world: Callable[[list[int]], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.schedule.blame._MOST_LOST_ALONE", 4)
    summary = world(list(range(8))).run(work=dies_always, retries=0)
    assert (summary.failed, summary.done) == (3, 0)  # the fourth stays open
    assert "after 4 in a row that were lost" in summary.problem


@pytest.mark.parametrize(
    ("spoilt", "died", "takes"),
    [((), (), True), ((0,), (), False), ((), (0,), False), ((), (1,), True), ((0,), (1,), True)],
)
def test_a_lost_batch_is_for_another_slot(
    spoilt: tuple[int, ...], died: tuple[int, ...], takes: bool
) -> None:
    assert may_take(0, Batch(0, (), (), spoilt=spoilt, died=died)) is takes
