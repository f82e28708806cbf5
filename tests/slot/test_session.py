"""A batch in its slot: whose fault an error is, what is kept, what is read ahead."""

import dataclasses
import json
import shutil
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from batches import INLINE, assert_whole, records
from PIL import Image
from worlds import until

from pipeline.commands import batch_manifest
from pipeline.errors import DeviceFullError, DiskFullError, RunFolderError
from pipeline.manifest import load_manifest
from pipeline.pictures import read_size
from pipeline.plan import Batch, Plan, scales_of
from pipeline.slot import (
    RunContext,
    begin_batch,
    forget_all,
    interruptible,
    loop,
    run_batch,
    session,
    way,
)
from pipeline.slot.checkpoint import load_checkpoint
from pipeline.slot.fitting import Fitting
from pipeline.slot.process import Process
from pipeline.slot.seat import take_seat
from pipeline.slot.session import Session, read_ahead
from pipeline.slot.way import Stopped, Way
from pipeline.store import RunFolder

MANIFEST = """
output: run
content: content
style: style
backbone: lite
settings: {size: 48, steps: 6, scale_start: 0, style_loss: gram, neighbor_weight: 0}
grid:
  style_weight: [1e0, 1_0]
"""


@pytest.fixture
def manifest(tmp_path: Path, picture: Callable[..., Path]) -> Path:
    picture("content/a.png", 1)
    picture("content/deep/b.jpg", 2)
    picture("style/s.png", 3)
    picture("style/t.png", 4)
    path = tmp_path / "manifest.yaml"
    path.write_text(MANIFEST)
    return path


def test_a_job_that_diverges_fails_alone(manifest: Path) -> None:
    text = MANIFEST.replace("scale_start: 0", "scale_start: 0, optimizer: lbfgs, loss: paper")
    text = text.replace("loss: paper", "loss: paper, clamp: false, warmup: 0")
    text = text.replace("style_weight: [1e0, 1_0]", "learning_rate: [1e-3, 100]")
    manifest.write_text(text.replace("steps: 6", "steps: 60"))
    assert batch_manifest(manifest, INLINE, quiet=True) == 1
    run = manifest.parent / "run"
    assert_whole(run, 4)
    assert all("learning_rate-0.001" in name for name in records(run))
    failures = [json.loads(line) for line in (run / "failures.jsonl").read_text().splitlines()]
    assert {failure["type"] for failure in failures} == {"DivergedError"}


def test_contents_are_read_while_the_batch_before_runs(manifest: Path) -> None:
    """The second batch's picture is gone by the time it runs, and is not missed."""
    folder = manifest.parent
    loaded = load_manifest(manifest)
    plan = Plan(loaded, lambda s: "", 1)
    jobs = [job for job in plan.jobs() if job.style.label == "s"][::2]
    assert [job.content.path.name for job in jobs] == ["a.png", "b.jpg"]
    store = RunFolder(folder / "run")
    store.begin("", {})
    context = RunContext(store.path, folder / "cache", "lite", None, None)
    first, second = (Batch(i, (job,), scales_of(job)) for i, job in enumerate(jobs))
    forget_all()
    assert run_batch(context, 0, first.followed_by(second)).outcomes[0].status == "done"
    (folder / "content/deep/b.jpg").unlink()
    assert run_batch(context, 0, second).outcomes[0].status == "done"
    again = Batch(2, (jobs[1],), second.scales)
    assert "no such file" in (run_batch(context, 0, again).outcomes[0].error or "")


def test_where_torch_cannot_compile_it_says_so_and_goes_on(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Fails:
        """A compiled network whose code fails an assertion when it is run."""

        def __init__(self, network: object) -> None:
            self.network = network

        def __getattr__(self, name: str) -> object:
            return getattr(self.network, name)

        def __call__(self, images: object) -> object:
            raise AssertionError("assert_size_stride\nand more")

    monkeypatch.setattr(torch, "compile", lambda network, dynamic: Fails(network))
    options = dataclasses.replace(INLINE, compiles=True)
    assert batch_manifest(manifest, options, quiet=True, with_report=False) == 0
    for record in records(manifest.parent / "run").values():
        assert record["warnings"] == [
            {
                "code": "not_compiled",
                "text": "not compiled, torch could not: AssertionError: assert_size_stride",
            }
        ]


def test_an_error_of_a_whole_batch_is_each_jobs_own_once(
    manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = "precision tf32 is a GPU's; on cpu choose auto, bf16 or fp32"
    text = MANIFEST.replace("scale_start: 0", "scale_start: 0, precision: tf32")
    manifest.write_text(text.replace("size: 48", "size: 96"))
    assert batch_manifest(manifest, INLINE, quiet=True) == 1
    run = manifest.parent / "run"
    lines = [json.loads(line) for line in (run / "failures.jsonl").read_text().splitlines()]
    assert len(lines) == len({line["name"] for line in lines}) == 8
    assert all(message in line["error"] for line in lines)
    summary = json.loads((run / "run.json").read_text())
    assert (summary["failed"], summary["retries"]) == (8, 0)
    printed = capsys.readouterr().err
    assert message in printed and "NameError" not in printed and "trying again" not in printed


def test_what_a_stopped_run_still_gives_its_slots_is_not_run(manifest: Path) -> None:
    jobs = tuple(Plan(load_manifest(manifest), lambda s: "", 1).jobs())[:2]
    store = RunFolder(manifest.parent / "run")
    store.begin("", {})
    store.live.ask_to_stop()
    context = RunContext(store.path, manifest.parent / "cache", "lite", None, None)
    report = run_batch(context, 0, Batch(0, jobs, scales_of(jobs[0])))
    assert [outcome.status for outcome in report.outcomes] == ["stopped", "stopped"]


def one_job(manifest: Path, **settings: object) -> tuple[RunContext, Batch]:
    """A batch of the manifest's first job, with settings of its own."""
    job = next(Plan(load_manifest(manifest), lambda s: "", 1).jobs())
    job = dataclasses.replace(job, settings=job.settings.model_copy(update=settings))
    store = RunFolder(manifest.parent / "run")
    store.begin("", {})
    context = RunContext(store.path, manifest.parent / "cache", "lite", None, None, threads=1)
    return context, Batch(0, (job,), scales_of(job))


def test_a_run_that_is_to_stop_stops_at_the_next_step(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, batch = one_job(manifest, steps=50)
    monkeypatch.setattr("pipeline.slot.way._NEWS_EVERY_S", 0.0)
    real = loop.optimize

    def optimize(*given, **more):  # type: ignore[no-untyped-def]
        for step in real(*given, **more):
            if step.number == 3:
                context.store.live.ask_to_stop()
            yield step

    monkeypatch.setattr(loop, "optimize", optimize)
    (outcome,) = run_batch(context, 0, batch).outcomes
    assert outcome.status == "stopped" and not list(context.store.images.rglob("*"))


@pytest.mark.parametrize("last", [5, 20, 30])
def test_a_run_that_is_to_stop_stops_within_its_first_step(
    manifest: Path, monkeypatch: pytest.MonkeyPatch, last: int
) -> None:
    context, batch = one_job(manifest, steps=50)
    monkeypatch.setattr("pipeline.slot.way._NEWS_EVERY_S", 0.0)
    looks, real = [0], Way.look

    def look(way: Way) -> None:
        looks[0] += 1
        if looks[0] == last:
            context.store.live.ask_to_stop()
        real(way)

    monkeypatch.setattr(Way, "look", look)
    monkeypatch.setattr(Way, "after", lambda *given: pytest.fail("a step came to its end"))
    (outcome,) = run_batch(context, 0, batch).outcomes
    assert outcome.status == "stopped" and not list(context.store.images.rglob("*"))
    assert looks == [last]


def test_what_cannot_be_written_fails_its_job(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*given: object) -> None:
        raise RunFolderError("no rights")

    context, batch = one_job(manifest)
    monkeypatch.setattr("pipeline.slot.session.write_result", fails)
    (outcome,) = run_batch(context, 0, batch).outcomes
    assert (outcome.status, outcome.error) == ("failed", "no rights")


def test_a_job_that_diverged_is_made_again_with_a_smaller_step(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, batch = one_job(manifest, animation="gif", steps=4)
    rates: list[float] = []
    real = loop.optimize

    def optimize(network, jobs, *given, **more):  # type: ignore[no-untyped-def]
        rates.append(jobs[0].learning_rate)
        for step in real(network, jobs, *given, **more):
            if len(rates) == 1:
                step.losses.total.fill_(float("nan"))
            yield step

    monkeypatch.setattr(loop, "optimize", optimize)
    (outcome,) = run_batch(context, 0, batch).outcomes
    assert outcome.status == "done" and rates == [0.05, 0.0125]
    (record,) = context.store.records()
    (said,) = record.warnings
    assert said.code == "safer_rate"
    assert said.text == "the loss became NaN or infinite; made again with learning_rate 0.0125"
    assert all(point["total"] > 0 for point in record.losses)


def test_a_compiler_that_fails_at_the_safer_try_does_not_cost_the_job(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The safer try has a size of its own, for which torch compiles anew."""
    context, batch = one_job(manifest, steps=4)
    rates: list[float] = []
    real = loop.optimize

    def optimize(network, jobs, *given, **more):  # type: ignore[no-untyped-def]
        rates.append(jobs[0].learning_rate)
        if len(rates) == 2:
            raise AssertionError("assert_size_stride")
        for step in real(network, jobs, *given, **more):
            if len(rates) == 1:
                step.losses.total.fill_(float("nan"))
            yield step

    monkeypatch.setattr(torch, "compile", lambda network, dynamic: network)
    monkeypatch.setattr(loop, "optimize", optimize)
    context = dataclasses.replace(context, compiles=True)
    (outcome,) = run_batch(context, 0, batch, Process()).outcomes
    assert outcome.status == "done" and rates == [0.05, 0.0125, 0.0125]
    assert tuple(map(str, outcome.warnings)) == (
        "not compiled, torch could not: AssertionError: assert_size_stride",
        "the loss became NaN or infinite; made again with learning_rate 0.0125",
    )


def test_memory_that_runs_out_while_compiled_is_no_fault_of_the_compiler(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, batch = one_job(manifest)

    def optimize(*given, **more):  # type: ignore[no-untyped-def]
        raise torch.OutOfMemoryError("injected")
        yield

    monkeypatch.setattr(torch, "compile", lambda network, dynamic: network)
    monkeypatch.setattr(loop, "optimize", optimize)
    process = Process()
    context = dataclasses.replace(context, compiles=True)
    (outcome,) = run_batch(context, 0, batch, process).outcomes
    assert "too little memory" in (outcome.error or "") and not process.not_compiled


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU: before the first part, one step of one picture is taken to measure it."""

    def factor(fitting: Fitting, one_step: Callable[[], None]) -> float:
        one_step()
        return 1.0

    monkeypatch.setattr(Fitting, "_factor", factor)


def test_memory_that_runs_out_while_it_is_measured_makes_tiles_of_one_picture(
    manifest: Path, measured: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, batch = one_job(manifest, size=600, steps=2)
    process, optimize = Process(), loop.optimize

    def until_tiled(*given, **more):  # type: ignore[no-untyped-def]
        if not process.tiles:
            raise torch.OutOfMemoryError("injected")
        return optimize(*given, **more)

    monkeypatch.setattr(loop, "optimize", until_tiled)
    (outcome,) = run_batch(context, 0, batch, process).outcomes
    assert (outcome.status, outcome.error) == ("done", None) and len(process.tiles) == 1


def test_memory_that_runs_out_while_it_is_measured_halves_a_batch(
    manifest: Path, measured: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, batch = one_job(manifest)
    planned = Plan(load_manifest(manifest), lambda s: "", 1).jobs()
    jobs = tuple(job for job in planned if scales_of(job) == batch.scales)
    assert len(jobs) > 1
    optimize, failures = loop.optimize, [torch.OutOfMemoryError("injected")]

    def once(*given, **more):  # type: ignore[no-untyped-def]
        if failures:
            raise failures.pop()
        return optimize(*given, **more)

    monkeypatch.setattr(loop, "optimize", once)
    report = run_batch(context, 0, dataclasses.replace(batch, jobs=jobs), Process())
    assert [outcome.status for outcome in report.outcomes] == ["done"] * len(jobs)
    assert report.fits == len(jobs) // 2 and not failures


def test_one_step_leaves_nothing_behind(manifest: Path) -> None:
    context, batch = one_job(manifest)
    with ThreadPoolExecutor(1) as pool:
        begun = Session(take_seat(context, 0, Process()), batch, pool)
        (prepared,) = begun._prepare_all()
        begun.loop.one_step(prepared)
    assert not list(context.store.images.rglob("*.png"))


def test_a_first_picture_that_is_gone_fails_the_jobs_that_begin_with_it(manifest: Path) -> None:
    context, batch = one_job(manifest, init=str(manifest.parent / "gone.png"))
    (outcome,) = run_batch(context, 0, batch).outcomes
    assert outcome.status == "failed" and "gone.png: no such file" in (outcome.error or "")


# --- writing behind -------------------------------------------------------------------------------


def two_batches(manifest: Path) -> tuple[RunContext, Batch, Batch]:
    context, _ = one_job(manifest)
    jobs = list(Plan(load_manifest(manifest), lambda s: "", 1).jobs())
    first, second = jobs[0], next(job for job in jobs if job.content != jobs[0].content)
    return context, Batch(0, (first,), scales_of(first)), Batch(1, (second,), scales_of(second))


def batch_of_both(manifest: Path) -> tuple[RunContext, Batch]:
    """All jobs that fit together."""
    context, batch = one_job(manifest)
    jobs = list(Plan(load_manifest(manifest), lambda s: "", 1).jobs())
    same = tuple(job for job in jobs if scales_of(job) == batch.scales)
    return context, dataclasses.replace(batch, jobs=same)


def held(monkeypatch: pytest.MonkeyPatch, number: int) -> threading.Event:
    """Holds the files of one batch back until the event is set."""
    gate, write = threading.Event(), session.write_result

    def wait(store: RunFolder, prepared: Any, result: Any, about: Any) -> None:
        assert about.number != number or gate.wait(20)
        write(store, prepared, result, about)

    monkeypatch.setattr(session, "write_result", wait)
    return gate


def test_a_batch_goes_through_its_steps_while_the_one_before_is_written(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, first, second = two_batches(manifest)
    # A thread for each, as the first one's is held.
    context, process = dataclasses.replace(context, threads=0), Process(cores=2)
    gate = held(monkeypatch, 0)
    one = begin_batch(context, 0, first, process)
    two = begin_batch(context, 0, second, process)
    assert two().outcomes[0].status == "done"
    assert not context.store.record(first.jobs[0].name)
    gate.set()
    report = one()
    assert report.outcomes[0].status == "done" and context.store.record(first.jobs[0].name)
    # What the second one took is not the first one's.
    assert report.seconds["write"] < 0.5 * two().busy_s
    assert report.busy_s == pytest.approx(sum(report.seconds.values()), abs=0.3)


def test_a_disk_that_is_full_behind_the_next_batch_fails_its_own_jobs(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, first, second = two_batches(manifest)
    write = RunFolder.write

    def full(store: RunFolder, path: Path, data: bytes) -> None:
        if path.suffix == ".json" and first.jobs[0].name in str(path):
            raise DiskFullError("no space left")
        write(store, path, data)

    monkeypatch.setattr(RunFolder, "write", full)
    one, two = (begin_batch(context, 0, batch, Process()) for batch in (first, second))
    (outcome,) = one().outcomes
    assert (outcome.status, outcome.error_type) == ("failed", "DiskFullError")
    assert two().outcomes[0].status == "done"
    job = first.jobs[0]
    assert context.store.image_path(job.name, job.settings).exists()
    assert not context.store.is_done(job.name, job.key, job.settings)


def test_checkpoints_that_cannot_be_written_are_a_warning_said_once(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, first, second = two_batches(manifest)
    context = dataclasses.replace(context, checkpoint_every_s=1e-9)
    monkeypatch.setattr("pipeline.slot.way._NEWS_EVERY_S", 0.0)
    monkeypatch.setattr("pipeline.slot.way._AFFORDABLE", 1e9)
    write, tried = RunFolder.write, list[Path]()

    def full(store: RunFolder, path: Path, data: bytes) -> None:
        if "checkpoints" in path.parts:
            tried.append(path)
            raise DiskFullError(f"{path}: no space left")
        write(store, path, data)

    monkeypatch.setattr(RunFolder, "write", full)
    process = Process()
    outcomes = [run_batch(context, 0, b, process).outcomes[0] for b in (first, second)]
    assert [outcome.status for outcome in outcomes] == ["done", "done"] and len(tried) > 2
    (said,) = (notice for outcome in outcomes for notice in outcome.warnings)
    assert said.code == "no_checkpoint" and "no space left" in said.text
    record = context.store.record(first.jobs[0].name)
    assert record is not None and [w.code for w in record.warnings] == ["no_checkpoint"]


def test_a_batch_that_breaks_off_has_its_files_written_before_it_is_told(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or it would be run again elsewhere while they are still written here."""
    context, both = batch_of_both(manifest)
    process, drive, calls = Process(), loop.Loop.run, list[int]()
    monkeypatch.setattr(Fitting, "together", lambda self, count, one_step: 1)

    def breaks(self: loop.Loop, ready: Any) -> Any:
        calls.append(len(ready))
        if len(calls) == 2:
            gate.set()
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        return drive(self, ready)

    gate = held(monkeypatch, 0)
    monkeypatch.setattr(loop.Loop, "run", breaks)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        begin_batch(context, 0, both, process)
    assert context.store.is_done(both.jobs[0].name, both.jobs[0].key, both.jobs[0].settings)


def test_a_batch_whose_files_raise_is_told_when_all_others_are_written(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, both = batch_of_both(manifest)
    gate, write = threading.Event(), session.write_result

    def raises(store: RunFolder, prepared: Any, result: Any, about: Any) -> None:
        if prepared.job is both.jobs[0]:
            raise RuntimeError("no codec")
        assert gate.wait(20)
        write(store, prepared, result, about)

    monkeypatch.setattr(session, "write_result", raises)
    wait = begin_batch(dataclasses.replace(context, threads=0), 0, both, Process(cores=2))
    threading.Timer(0.2, gate.set).start()
    with pytest.raises(RuntimeError, match="no codec"):
        wait()
    assert context.store.is_done(both.jobs[1].name, both.jobs[1].key, both.jobs[1].settings)


@pytest.mark.parametrize("ends_at", ["result", "step", "again"])
def test_a_job_whose_frame_raises_is_told_when_all_others_are_written(
    manifest: Path, monkeypatch: pytest.MonkeyPatch, ends_at: str
) -> None:
    """Also where its batch broke off at a step, or its frames are to be made again."""
    context, batch = one_job(manifest, save_every=2)
    gate, kept, drive = threading.Event(), list[int](), loop.Loop._drive_once

    def frame(store: RunFolder, prepared: Any, step: int, image: Any) -> None:
        if step == 2:
            raise RuntimeError("no codec")
        assert gate.wait(20)
        kept.append(step)

    def again(self: loop.Loop, ready: Any) -> Any:
        results = drive(self, ready)
        if ends_at == "step":
            raise RuntimeError("a step")
        return drive(self, ready) if ends_at == "again" else results

    monkeypatch.setattr("pipeline.slot.way.write_frame", frame)
    monkeypatch.setattr(loop.Loop, "_drive_once", again)
    threading.Timer(0.5, gate.set).start()
    with pytest.raises(RuntimeError, match="a step" if ends_at == "step" else "no codec"):
        run_batch(dataclasses.replace(context, threads=0), 0, batch, Process(cores=2))
    assert sorted(kept) == [4, 6]


def test_a_batch_whose_files_are_written_holds_on_to_nothing_of_its_loop(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which has a graph and its pictures where the next batch wants the memory."""
    context, batch = one_job(manifest)
    loops, init = list[Any](), loop.Loop.__init__

    def seen(self: loop.Loop, *given: Any) -> None:
        init(self, *given)
        loops.append(weakref.ref(self))

    monkeypatch.setattr(loop.Loop, "__init__", seen)
    gate = held(monkeypatch, 0)
    wait = begin_batch(context, 0, batch, Process())
    assert [there() for there in loops] == [None]
    gate.set()
    assert wait().outcomes[0].status == "done"


def test_what_the_next_batch_needs_is_read_while_one_runs(manifest: Path) -> None:
    """Its picture is gone by the time it runs, and is not missed."""
    context, first, second = two_batches(manifest)
    process = Process()
    read_ahead(context, 0, [first, second], process)
    assert run_batch(context, 0, first, process).outcomes[0].status == "done"
    second.jobs[0].content.path.unlink()
    assert run_batch(context, 0, second, process).outcomes[0].status == "done"
    read_ahead(context, 0, [first], process)
    for _ in range(2):
        read_ahead(context, 0, [], process)  # taken back
    first.jobs[0].content.path.unlink()
    assert run_batch(context, 0, first, process).outcomes[0].status == "failed"


@pytest.mark.parametrize("is_cached", [False, True])
def test_the_next_batchs_style_is_read_while_one_runs(
    manifest: Path, monkeypatch: pytest.MonkeyPatch, is_cached: bool
) -> None:
    """The style's picture is another one by the time it is asked for, and the cache is gone."""
    context, _, second = two_batches(manifest)
    if is_cached:
        run_batch(context, 0, second, Process())
    process, style = Process(), second.jobs[0].style.parts[0][0]
    read_ahead(context, 0, [second], process)
    until(lambda: bool(process.styles._values if is_cached else process.ahead.styles._read))
    shutil.rmtree(context.cache, ignore_errors=True)
    Image.new("RGB", read_size(style)).save(style)
    (outcome,) = run_batch(context, 0, second, process).outcomes
    assert (outcome.status, outcome.hits) == ("done", int(is_cached))
    assert not process.ahead.styles._read


def test_what_a_scale_is_given_is_no_step(manifest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, batch, _ = two_batches(manifest)
    real = loop.scale_inputs

    def slow(*given: Any) -> Any:
        time.sleep(0.2)
        return real(*given)

    monkeypatch.setattr(loop, "scale_inputs", slow)
    report = run_batch(context, 0, batch, Process())
    assert report.seconds["inputs"] >= 0.2 * len(batch.scales)


@pytest.mark.parametrize(("every", "kept"), [(600.0, 3), (0.0, None)])
def test_a_stop_within_a_long_step_loses_that_step_alone(
    manifest: Path, monkeypatch: pytest.MonkeyPatch, every: float, kept: int | None
) -> None:
    context, batch = one_job(manifest)
    context, last, after = dataclasses.replace(context, checkpoint_every_s=every), [0], Way.after

    def keeps_count(self: Way, step: Any, *given: Any) -> None:
        after(self, step, *given)
        last[0] = step.number

    def look(self: Way) -> None:
        if last[0] == 3:
            raise Stopped

    monkeypatch.setattr(Way, "after", keeps_count)
    monkeypatch.setattr(Way, "look", look)
    monkeypatch.setattr(interruptible, "_LONG_S", 0.0)
    monkeypatch.setattr(way, "_WORTH_KEEPING_S", -1.0)
    (outcome,) = run_batch(context, 0, batch, Process()).outcomes
    checkpoint = load_checkpoint(context.store, batch.jobs[0].key)
    assert outcome.status == "stopped"
    assert (checkpoint and checkpoint.step) == kept


def test_a_library_that_cannot_begin_is_the_devices_fault_in_the_end(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is taken for memory as long as less of it may help."""
    context, batch = one_job(manifest)

    def fails(*given: Any, **more: Any) -> Any:
        raise RuntimeError("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED")

    monkeypatch.setattr(loop, "optimize", fails)
    with pytest.raises(DeviceFullError, match="cpu: cuDNN error: CUDNN_STATUS_NOT_INITIALIZED"):
        run_batch(context, 0, batch, Process())
