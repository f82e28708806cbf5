"""Dask and Ray: the same keys and pictures as on one machine, lost workers, and GPUs."""

import contextlib
import hashlib
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import joblib
import numpy as np
import pytest
from fake_work import BREAKS_ONCE, KILLED, fake_work
from PIL import Image
from worlds import World

from pipeline.commands import Options, batch_manifest
from pipeline.errors import EngineError
from pipeline.plan import Batch, scales_of
from pipeline.schedule import RunOptions, cluster
from pipeline.schedule.cluster import ClusterEngine, kinds_of
from pipeline.schedule.engine import Guarded
from pipeline.schedule.feed import Feed
from pipeline.slot import Report, RunContext
from pipeline.store import RunFolder

TEXT = (
    "output: {}\ncontent: c.png\nstyle: s.png\nbackbone: lite\n"
    "settings: {{size: 48, steps: 3, scale_start: 0}}\ngrid: {{seed: [0, 1, 2, 3]}}\n"
)
# Where Ray's workers find `fake_work`.
WORK = os.pathsep.join(str(Path(__file__).parents[level]) for level in (1, 2))
MODULES = {"dask": "distributed", "ray": "ray"}


def run(folder: Path, name: str, options: RunOptions) -> dict[str, tuple[str, np.ndarray]]:
    """Key and pixels of every job of a run."""
    (folder / "m.yaml").write_text(TEXT.format(name))
    assert batch_manifest(folder / "m.yaml", Options("cpu", run=options), quiet=True) == 0
    found = {}
    for record in RunFolder(folder / name).records():
        path = folder / name / record.output.path
        assert hashlib.sha256(path.read_bytes()).hexdigest() == record.output.sha256
        found[record.name] = (record.key, np.asarray(Image.open(path)).astype(int))
    return found


@pytest.mark.parametrize(
    ("engine", "workers"), [("dask", 2), pytest.param("ray", 1, marks=pytest.mark.long)]
)
def test_a_cluster_makes_the_same_pictures(
    engine: str, workers: int, tmp_path: Path, picture: Callable[..., Path]
) -> None:
    pytest.importorskip(MODULES[engine], reason=f"pip install '.[{engine}]' to test it")
    picture("c.png", 1)
    picture("s.png", 2)
    here = run(tmp_path, "here", RunOptions(engine="inline"))
    there = run(tmp_path, "there", RunOptions(engine=engine, workers=workers))
    assert here.keys() == there.keys()
    for name, (key, pixels) in here.items():
        assert there[name][0] == key
        assert np.abs(there[name][1] - pixels).max() <= 1


# --- clusters that are not there ------------------------------------------------------------------


def refuse(*given: object, **more: object) -> None:
    raise ConnectionError("refused")


@pytest.mark.parametrize(
    ("engine", "answer"), [("dask", "no Dask scheduler answers"), ("ray", "no Ray cluster answers")]
)
def test_a_cluster_that_is_not_there_is_told(
    engine: str, answer: str, world: Callable[[list[int]], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = pytest.importorskip(MODULES[engine])
    monkeypatch.setattr(module, {"dask": "Client", "ray": "init"}[engine], refuse)
    with pytest.raises(EngineError, match=f"--address 127.0.0.1:1: {answer} .refused.*firewall"):
        world([1]).run(engine=engine, address="127.0.0.1:1")


MISSING = ModuleNotFoundError("No module named 'pipeline.slot'")


@pytest.mark.parametrize(
    ("scheduler", "worker", "said"),
    [
        (MISSING, None, r"its scheduler cannot load nst .*No module named 'pipeline.slot'"),
        (None, MISSING, r"tcp://w:2 cannot load nst .*No module named 'pipeline.slot'"),
        (None, ("0.1", 1), r"tcp://w:2 has nst 0.1, here it is"),
        (None, ValueError(), r"tcp://w:2 cannot load nst .* \(ValueError\)"),
    ],
)
def test_a_dask_cluster_with_another_nst_or_none_is_told(
    scheduler: Any,
    worker: Any,
    said: str,
    world: Callable[[list[int]], World],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the scheduler cannot load what it is given, joblib would wait for ever."""
    distributed = pytest.importorskip("distributed")

    def on_scheduler(function: Callable[..., Any], *given: object) -> Any:
        if scheduler is not None:
            raise scheduler
        return function(*given)

    def on_workers(function: Callable[..., Any], *given: object, on_error: str) -> Any:
        return {"tcp://w:1": function(*given), "tcp://w:2": worker or function(*given)}

    client = SimpleNamespace(run_on_scheduler=on_scheduler, run=on_workers, close=lambda: None)
    monkeypatch.setattr(distributed, "Client", lambda *given, **more: client)
    with pytest.raises(EngineError, match=f"--address there:1: {said}.*the same nst on every"):
        world([1]).run(engine="dask", address="there:1")


@pytest.mark.parametrize("engine", ["dask", "ray"])
def test_a_cluster_that_cannot_start_here_is_told_without_an_address(
    engine: str, world: Callable[[list[int]], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = pytest.importorskip(MODULES[engine])
    monkeypatch.setattr(module, {"dask": "LocalCluster", "ray": "init"}[engine], refuse)
    with pytest.raises(EngineError, match=f"--engine {engine}: no .* starts on this machine"):
        world([1]).run(engine=engine)


def test_a_cluster_started_here_is_closed_when_nobody_can_reach_it(
    world: Callable[[list[int]], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    distributed = pytest.importorskip("distributed")
    closed = []
    cluster = contextlib.ExitStack()
    cluster.callback(lambda: closed.append(True))
    monkeypatch.setattr(distributed, "LocalCluster", lambda **options: cluster)
    monkeypatch.setattr(distributed, "Client", refuse)
    with pytest.raises(EngineError):
        world([1]).run(engine="dask")
    assert closed == [True]


# --- GPUs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("resources", "options"),
    [([{}, {"GPU": 1}], {"resources": {"GPU": 1}}), ([{}, {"MEMORY": 9}], {})],
)
def test_a_dask_batch_takes_a_gpu_where_workers_offer_them(
    resources: list[dict[str, int]],
    options: dict[str, Any],
    world: Callable[[list[int]], World],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    distributed = pytest.importorskip("distributed")
    from pipeline.schedule.dask_cluster import open_dask

    closed: list[str] = []

    def connect(scheduler: str, timeout: float) -> SimpleNamespace:
        workers = {str(i): {"resources": found} for i, found in enumerate(resources)}
        info = {"workers": workers}
        close = lambda: closed.append(scheduler)  # noqa: E731
        return SimpleNamespace(
            scheduler_info=lambda: info,
            close=close,
            run_on_scheduler=lambda function, *given: function(*given),
            run=lambda function, *given, on_error: {at: function(*given) for at in workers},
        )

    monkeypatch.setattr(distributed, "Client", connect)
    given = RunOptions(engine="dask", address="tcp://there:1")
    with open_dask(world([1]).context(), fake_work, given) as engine:
        assert isinstance(engine, ClusterEngine)
        assert engine.lazy and engine.begin() == (-1, options)
        assert not closed
        assert engine.devices == (("cuda", "cpu") if "GPU" in resources[1] else ("cpu",))
    assert closed == ["tcp://there:1"]


@pytest.mark.parametrize(
    ("chosen", "gpus", "devices"),
    [
        ("auto", True, ("cuda", "cpu")),
        ("auto", False, ("cpu",)),
        ("cpu", True, ("cpu",)),
        ("cuda:1, cpu", False, ("cuda:1",)),
    ],
)
def test_a_driver_without_a_gpu_packs_for_its_workers(
    chosen: str, gpus: bool, devices: tuple[str, ...], world: Callable[[list[int]], World]
) -> None:
    context = replace(world([1]).context(), devices=chosen)
    assert kinds_of(context, gpus) == devices


# --- one worker -----------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["dask", pytest.param("ray", marks=pytest.mark.long)])
def test_a_cluster_of_one_worker_runs_batches_there_and_not_in_the_driver(
    engine: str, world: Callable[[list[int]], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(MODULES[engine])
    monkeypatch.setenv("PYTHONPATH", WORK)
    here = world([1, 2])
    assert here.run(engine=engine, workers=1).done == 2
    assert len({record.pid for record in here.done().values()} - {os.getpid()}) == 1


# --- lost batches ---------------------------------------------------------------------------------


class FakeParallel:
    """joblib's `Parallel`, in this process; dies with the tasks whose seeds are told."""

    def __init__(self, dies: set[int]) -> None:
        self.dies, self.calls = dies, 0

    def __call__(self, **options: object) -> Callable[[Any], Any]:
        self.calls += 1

        def run(tasks: Any) -> Iterator[Any]:
            for function, given, _ in tasks:
                batch = next(one for one in given if isinstance(one, Batch))
                if {job.settings.seed for job in batch.jobs} & self.dies:
                    raise RuntimeError("a worker died\nin detail")
                yield function(*given)

        return run if options.get("return_as") else lambda tasks: list(run(tasks))


@pytest.fixture
def parallel(monkeypatch: pytest.MonkeyPatch) -> FakeParallel:
    fake = FakeParallel({KILLED})
    monkeypatch.setattr(joblib, "Parallel", fake)
    monkeypatch.setattr(joblib, "effective_n_jobs", lambda n: 2)
    monkeypatch.setattr(joblib, "parallel_config", lambda *given, **more: contextlib.nullcontext())
    return fake


def ended(here: World, *, lazy: bool) -> dict[int, str]:
    """Number of every batch of one job that ended, and why it was lost if it was."""
    here.store.begin("", {})
    batches = [Batch(i, (job,), scales_of(job)) for i, job in enumerate(here.plan.jobs())]
    engine = ClusterEngine(here.context(), fake_work, "none", lazy=lazy, gone=str)
    found, feed = {}, Feed(iter(batches))
    for e in engine.run(feed):
        if e.together:
            feed.put_first([replace(e.batch, alone=True)])
        else:
            found[e.batch.number] = e.lost
    engine.kill()  # nothing of the cluster's is ended
    return found


@pytest.mark.parametrize("lazy", [True, False])
def test_batches_that_a_cluster_lost_together_are_run_one_by_one(
    lazy: bool, world: Callable[[list[int]], World], parallel: FakeParallel
) -> None:
    found = ended(world([1, 2, KILLED, 3]), lazy=lazy)
    assert found == {0: "", 1: "", 2: "RuntimeError: a worker died", 3: ""}


@pytest.mark.parametrize(("lazy", "calls"), [(True, 1), (False, 3)])
def test_a_backend_that_wants_a_list_gets_four_batches_a_worker(
    lazy: bool, calls: int, world: Callable[[list[int]], World], parallel: FakeParallel
) -> None:
    found = ended(world(list(range(20))), lazy=lazy)
    assert found == dict.fromkeys(range(20), "") and parallel.calls == calls


def open_fake(monkeypatch: pytest.MonkeyPatch, *, lazy: bool, gone: Callable[[], str]) -> None:
    def open_cluster(context: RunContext, work: Any, options: RunOptions) -> Any:
        return contextlib.nullcontext(ClusterEngine(context, work, "none", lazy, gone))

    monkeypatch.setattr("pipeline.schedule.run.open_engine", open_cluster)


@pytest.mark.parametrize("lazy", [True, False])
def test_what_a_lost_batch_had_finished_is_not_made_again(
    lazy: bool,
    world: Callable[[list[int]], World],
    parallel: FakeParallel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A worker died late in its window: all of the window is lost, though most of it was done."""
    open_fake(monkeypatch, lazy=lazy, gone=str)
    monkeypatch.setattr("pipeline.schedule.run.limit_of", one_by_one)
    made: list[int] = []

    def work(context: RunContext, slot: int | None, batch: Batch) -> Report:
        made.extend(job.settings.seed for job in batch.jobs)
        return fake_work(context, slot, batch)

    summary = world([1, 2, 3, KILLED, 4]).run(work=work, engine="ray", retries=1)
    assert sorted(made) == [1, 2, 3, 4]  # each once
    assert (summary.done, summary.failed) == (4, 1) and summary.retries >= 1
    assert summary.failures[0]["error"] == "RuntimeError: a worker died; tried 2 times"


def one_by_one(slots: Sequence[str]) -> Callable[[int, int], int]:
    return lambda width, height: 1


@pytest.mark.parametrize("lazy", [True, False])
def test_a_cluster_that_is_gone_ends_the_run_with_true_counts(
    lazy: bool,
    world: Callable[[list[int]], World],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    open_fake(monkeypatch, lazy=lazy, gone=lambda: "the scheduler x does not answer any more")

    def vanish(self: ClusterEngine, jobs: int, tasks: Iterator[Any]) -> Iterator[Any]:
        some = list(itertools.islice(tasks, 3))
        results = [function(*given) for function, given, _ in some[:2]]
        yield results[0]
        raise OSError("Timed out trying to connect")

    monkeypatch.setattr(ClusterEngine, "_results", vanish)
    monkeypatch.setattr(joblib, "parallel_config", lambda *given, **more: contextlib.nullcontext())
    monkeypatch.setattr("pipeline.schedule.run.limit_of", one_by_one)
    here = world([1, 2, 3, 4])
    summary = here.run(engine="dask")
    assert summary.problem == "the scheduler x does not answer any more"
    assert summary.exit_code == 1 and summary.ended and summary.retries == 0
    assert summary.done == len(here.done()) == 2 and summary.failed == 0  # one was not told of
    assert here.store.summaries()[""].done == 2


@pytest.mark.parametrize("lazy", [True, False])
def test_a_cluster_that_takes_no_batch_ends_the_run(
    lazy: bool, world: Callable[[list[int]], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one whose last worker is gone: it would be asked again and again."""
    open_fake(monkeypatch, lazy=lazy, gone=str)
    monkeypatch.setattr(joblib, "parallel_config", lambda *given, **more: contextlib.nullcontext())
    monkeypatch.setattr(ClusterEngine, "_results", refuse)
    here = world([1])
    said = r"the cluster takes no batch \(ConnectionError: refused\)"
    with pytest.raises(EngineError, match=said):
        here.run(engine="dask")
    assert here.store.summaries()[""].problem.endswith("refused)")


def test_a_cluster_that_fails_when_all_has_come_back_goes_on(
    world: Callable[[list[int]], World], parallel: FakeParallel, monkeypatch: pytest.MonkeyPatch
) -> None:
    results, failed = ClusterEngine._results, list[bool]()

    def fail_late(self: ClusterEngine, jobs: int, tasks: Iterator[Any]) -> Iterator[Any]:
        yield from results(self, jobs, itertools.islice(tasks, 2))
        if not failed:
            failed.append(True)
            raise OSError("connection lost")

    monkeypatch.setattr(ClusterEngine, "_results", fail_late)
    assert ended(world([1, 2, 3]), lazy=True) == {0: "", 1: "", 2: ""} and failed


# --- cards that break -----------------------------------------------------------------------------


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> str:
    """What this process's batches say that they ran on."""
    monkeypatch.setattr(cluster, "_broken", [])
    monkeypatch.setattr(cluster, "own_card", lambda: "host, GPU made-up")
    return "host, GPU made-up"


@pytest.mark.parametrize("ends", [True, False])
def test_a_worker_whose_device_broke_says_so_and_takes_no_batch(
    ends: bool, card: str, world: Callable[[list[int]], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, told = world([BREAKS_ONCE, 1]), list[object]()
    monkeypatch.setattr(cluster, "_end_when_told", lambda: told.append("ends"))
    monkeypatch.setattr(cluster.time, "sleep", told.append)
    here.store.begin("", {})
    batches = [Batch(i, (job,), scales_of(job)) for i, job in enumerate(here.plan.jobs())]
    first, second = (cluster._answer(fake_work, here.context(), b.number, b, ends) for b in batches)
    said = "RuntimeError: CUDA error: an illegal memory access was encountered"
    assert first.found.broken and first.found.lost == said and not first.refused
    assert (second.number, second.refused, second.found.lost) == (1, True, said)
    assert first.card == second.card == card and not here.done()
    assert told == (["ends", cluster._TOLD_S + cluster._ENDS_S] if ends else [])


def test_a_card_that_breaks_three_times_in_a_row_gets_no_batch_any_more(
    card: str,
    world: Callable[[list[int]], World],
    parallel: FakeParallel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each window has new processes, which take another device then."""
    open_fake(monkeypatch, lazy=False, gone=str)
    monkeypatch.setattr("pipeline.schedule.run.limit_of", one_by_one)

    def begin(**options: object) -> Callable[[Any], Any]:
        cluster._broken.clear()
        return parallel(**options)

    monkeypatch.setattr(joblib, "Parallel", begin)

    def work(context: RunContext, slot: int | None, batch: Batch) -> Report:
        if card not in context.shunned:
            raise RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED")
        return fake_work(context, slot, batch)

    summary = world([1, 2, 3]).run(work=work, engine="ray")
    assert (summary.done, summary.failed, summary.retries, parallel.calls) == (3, 0, 3, 4)
    (retired,) = summary.retired
    assert retired.startswith(f"{card} gets no batch any more, after 3 in a row that broke it: Run")


def test_a_batch_that_goes_well_takes_back_what_a_card_broke_before(
    card: str, world: Callable[[list[int]], World]
) -> None:
    engine = ClusterEngine(world([1]).context(), fake_work, "none", lazy=True, gone=str)
    batch = Batch(0, (), ())
    ended = []
    for broken in (True, True, False, True, True, True, True):
        report = None if broken else Report((), "", "", {}, 0.0)
        ended.append(
            engine._judged(
                batch, cluster.Answer(0, Guarded(report, "CUDA error", "", broken), card)
            )
        )
    assert [bool(e.retired) for e in ended] == [False] * 5 + [True, False]
    assert all(e.broken and e.batch.spoilt == (0,) for e in ended if e.report is None)


def test_a_dask_worker_whose_device_broke_ends_and_its_batch_is_run_by_the_next(
    world: Callable[[list[int]], World],
) -> None:
    pytest.importorskip("distributed")
    here = world([BREAKS_ONCE])
    summary = here.run(engine="dask", workers=1)
    assert (summary.done, summary.failed, summary.retries) == (1, 0, 1)
    broke = int((here.store.path / "broke").read_text())
    assert here.done()[BREAKS_ONCE].pid not in (broke, os.getpid())


def test_an_error_that_says_nothing_is_named(
    world: Callable[[list[int]], World], parallel: FakeParallel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(self: ClusterEngine, jobs: int, tasks: Iterator[Any]) -> Iterator[Any]:
        list(tasks)
        raise TimeoutError
        yield

    monkeypatch.setattr(ClusterEngine, "_results", die)
    assert ended(world([1]), lazy=True) == {0: "TimeoutError: "}
