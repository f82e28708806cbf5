"""A step as one CUDA graph: captured once a scale, replayed in place, left where that fails.

No GPU is needed: graphs record the CPU's calls and make them again (`recorded.py`).
"""

import gc
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from device_world import DeviceWorld
from recorded import REFUSED, Calls, Graphs, capturing
from recorded import Graph as Recorded
from torch import Tensor

from pipeline.manifest import Settings
from pipeline.method import Losses, State, Step, StepGraphs, optimize
from pipeline.method import graphs as module
from pipeline.method.losses import roots
from pipeline.method.optimizers.table import OPTIMIZERS

Extra = dict[str, Any]
GPU = torch.device("cuda:1")


@pytest.fixture
def captured(monkeypatch: pytest.MonkeyPatch) -> list[Recorded]:
    """The graphs that were taken, of pictures on the CPU, which goes a GPU's way."""
    graphs = Graphs()
    monkeypatch.setattr(module, "_capture", graphs)
    monkeypatch.setattr(module, "_aside", lambda run, device: run())
    monkeypatch.setattr(module, "_DEVICE", "cpu")
    monkeypatch.setattr(roots, "by_eigenvalues", roots.by_products)
    monkeypatch.setattr("pipeline.method.onednn._operators", lambda dtype: False)
    return graphs.taken


def world(jobs: int = 2, **changed: object) -> DeviceWorld:
    given = {"size": 64, "steps": [8, 7], "scale_start": 48, "scale_factor": 1.4, **changed}
    return DeviceWorld(Settings.model_validate(given), jobs=jobs)


@dataclass(frozen=True)
class Seen:
    """What a step left: its losses as they were handed out, the rest copied."""

    losses: Losses
    images: Tensor
    steps: Tensor
    state: State


def copied(state: State) -> State:
    return State(state.scale, state.step, {k: v.clone() for k, v in state.tensors.items()})


def run(where: DeviceWorld, graphs: StepGraphs | None, resume: State | None = None) -> list[Seen]:
    return [
        Seen(step.losses, step.images, step.steps.clone(), copied(step.state))
        for step in steps_of(where, graphs, resume)
    ]


def steps_of(
    where: DeviceWorld, graphs: StepGraphs | None, resume: State | None = None
) -> Iterator[Step]:
    """Steps of jobs with rates and tolerances of their own."""
    torch.manual_seed(0)
    inputs = [where.inputs(index) for index in range(len(where.scales))]
    s = where.settings
    jobs = [
        s.model_copy(
            update={"learning_rate": s.learning_rate * (1 + 0.5 * i), "tolerance": s.tolerance * i}
        )
        for i in range(where.jobs)
    ]
    return optimize(
        where.backbone, jobs, where.scales, inputs.__getitem__, resume=resume, graphs=graphs
    )


def assert_same(plain: list[Seen], graphed: list[Seen], exact: bool = True) -> None:
    """Of every step; losses that were kept over later steps too."""
    # A history that is not full yet is summed in another order.
    rough = {"rtol": 0.0, "atol": 0.0} if exact else {"rtol": 1e-4, "atol": 1e-5}
    for a, b in zip(plain, graphed, strict=True):
        assert a.steps.tolist() == b.steps.tolist()
        torch.testing.assert_close(a.losses.table(), b.losses.table(), equal_nan=True, **rough)
        torch.testing.assert_close(a.images, b.images, **rough)
        if exact:
            assert dict(a.state.tensors).keys() == dict(b.state.tensors).keys()
            for name, values in a.state.tensors.items():
                torch.testing.assert_close(values, b.state.tensors[name], **rough)


def replayed(where: DeviceWorld) -> None:
    """A run by graphs leaves what a plain one does."""
    way = StepGraphs()
    graphed = run(where, way)
    assert not way.problem
    assert_same(run(where, None), graphed, where.settings.optimizer == "adam")


@pytest.mark.parametrize(
    "preset", ["default", "classic", "gatys2016", "style-transfer-pytorch", "neural-style"]
)
def test_replays_leave_what_calls_do(preset: str, captured: list[Recorded]) -> None:
    own: Extra = {}
    if preset == "default":  # whose loss wants some positions at the deepest layer
        own = {"size": 96, "scale_start": 64, "neighbor_every": 3}
    if preset in ("gatys2016", "neural-style"):
        own = {"scale_start": 0, "steps": 9, "init": "content"}
    where = world(preset=preset, **own)
    replayed(where)
    # One each, also where neighbors are chosen anew.
    assert [graph.replays for graph in captured] == [s.steps - 2 for s in where.scales]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("clamp", [False, True])
@pytest.mark.parametrize("carry", [False, True])
def test_an_optimizers_memory_goes_on_in_replays(
    optimizer: str, clamp: bool, carry: bool, captured: list[Recorded]
) -> None:
    rates = {"warmup": 6, "learning_rate_end": 0.2, "average": 0.7}
    own = {"optimizer": optimizer, "clamp": clamp, "carry": carry, "corrections": 4, **rates}
    replayed(world(preset="classic", **own))
    assert len(captured) == 2


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_jobs_that_settle_are_left_by_a_new_graph(optimizer: str, captured: list[Recorded]) -> None:
    own = {"optimizer": optimizer, "corrections": 4, "neighbor_weight": 1.0, "neighbor_every": 4}
    where = world(3, preset="classic", steps=[31, 12], tolerance=0.6, carry=True, **own)
    way = StepGraphs()
    graphed, plain = run(where, way), run(where, None)
    moved = graphed[-1].steps.tolist()
    assert moved[0] == 43 and min(moved) < 43  # the first has no tolerance
    assert_same(plain, graphed, optimizer == "adam")
    together = Counter((s.state.scale, *s.state.tensors["moving"].tolist()) for s in graphed)
    assert not way.problem
    # One for all that are together for long: the window is over 10 steps.
    assert len(captured) == len([key for key, count in together.items() if count > 4])


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("at", [1, 6, 12])
def test_a_checkpoint_of_replays_goes_on_in_replays(
    optimizer: str, at: int, captured: list[Recorded]
) -> None:
    own = {"optimizer": optimizer, "corrections": 4, "neighbor_weight": 1.0, "neighbor_every": 4}
    where = world(preset="classic", carry=True, warmup=9, **own)
    whole = run(where, StepGraphs())
    assert_same(run(where, None), whole, optimizer == "adam")
    rest = run(where, StepGraphs(), whole[at - 1].state)
    assert_same(whole[at:], rest, optimizer == "adam")


def test_few_steps_are_not_worth_a_graph(captured: list[Recorded]) -> None:
    replayed(world(preset="classic", steps=[4, 5]))
    assert [graph.replays for graph in captured] == [3]


def test_tiles_and_other_devices_go_without(
    captured: list[Recorded], monkeypatch: pytest.MonkeyPatch
) -> None:
    where, way = world(preset="classic", size=96, steps=5, scale_start=0), StepGraphs()
    where.extras = ["tiles"]
    assert len(run(where, way)) == 5
    monkeypatch.setattr(module, "_DEVICE", "cuda")
    run(world(preset="classic"), way)
    assert not way.problem and not captured


@pytest.mark.parametrize("after", [0, 60, 200, 280])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_capture_that_breaks_off_changes_nothing(
    optimizer: str, after: int, captured: list[Recorded], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it breaks off vectors have just been chosen anew."""
    tried = []

    class Breaks(Recorded):
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            if self.calls == after:
                raise RuntimeError(
                    "CUDA error: operation not permitted when stream is capturing\nmore"
                )
            return super().__torch_dispatch__(func, types, args, kwargs)

    def capture(run: Callable[[], Any], device: torch.device) -> None:
        tried.append(1)
        with capturing(Breaks()):
            run()
        pytest.fail("it did not break off")

    monkeypatch.setattr(module, "_capture", capture)
    own: Extra = {"neighbor_weight": 1.0, "neighbor_every": 2, "corrections": 3}
    if after:
        own |= {"scale_start": 0, "steps": 8}
    where, way = world(preset="classic", optimizer=optimizer, **own), StepGraphs()
    graphed = run(where, way)
    assert tried == [1]  # and not again, also not at the next scale
    assert way.problem == f"RuntimeError: {REFUSED}"
    assert_same(run(where, None), graphed, optimizer == "adam")


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("no room"), RuntimeError("CUDA error: out of memory")]
)
def test_running_out_of_memory_is_not_taken_for_that(
    error: RuntimeError, captured: list[Recorded], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(run: Callable[[], Any], device: torch.device) -> None:
        raise error

    monkeypatch.setattr(module, "_capture", full)
    way = StepGraphs()
    with pytest.raises(type(error), match=str(error)):
        run(world(preset="classic"), way)
    assert not way.problem


def test_what_is_released_is_free(captured: list[Recorded]) -> None:
    way = StepGraphs()
    run(world(preset="classic"), way)
    held = [weakref.ref(each) for each in (captured.pop(), way._movers)]
    captured.clear()
    gc.collect()
    assert all(each() is not None for each in held)
    way.release()
    gc.collect()
    assert all(each() is None for each in held)


# Calls of a step that is replayed, beside the replay: its losses are copied and cut in two, and
# where jobs have settled put beside theirs.
OUTSIDE = {"all": 3, "settled": 10}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("who", OUTSIDE)
def test_a_replayed_step_makes_hardly_any_calls(
    optimizer: str, who: str, captured: list[Recorded]
) -> None:
    tolerance = 0.6 if who == "settled" else 0.0
    own = {"optimizer": optimizer, "corrections": 4, "tolerance": tolerance, "warmup": 40}
    where, counts, settled = world(preset="classic", steps=38, scale_start=0, **own), {}, False
    calls = Calls()
    with calls:
        for step in steps_of(where, StepGraphs()):
            counts[step.number] = len(calls.names)
            settled = settled or int(step.steps[1]) < step.number
            calls.names.clear()
    assert settled == (who == "settled")
    assert max(counts[number] for number in range(34, 39)) <= OUTSIDE[who]
    assert counts[2] > 200  # those of a step without a graph


def test_what_comes_before_a_capture_runs_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    class Stream:
        def __init__(self, name: str = "aside") -> None:
            self.name = name

        def wait_stream(self, other: "Stream") -> None:
            told.append(f"{self.name} waits for {other.name}")

    @contextmanager
    def within(what: Any) -> Iterator[None]:
        told.append(f"begin {what if isinstance(what, str) else what.name}")
        yield
        told.append("end")

    own = Stream("aside")
    monkeypatch.setattr(module, "_stream_of", lambda device: own)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: Stream("main"))
    monkeypatch.setattr(torch.cuda, "stream", within)
    monkeypatch.setattr(torch.cuda, "graph", lambda graph, stream: within(f"{graph} {stream.name}"))
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: "graph")
    monkeypatch.setattr(torch.cuda, "set_stream", lambda it: told.append(f"back to {it.name}"))
    filled = torch.zeros(1)

    def made() -> Tensor:
        told.append("run")
        return filled

    nothing = Losses.of(torch.zeros(6, 1))
    assert module._aside(lambda: (made(), nothing)[1], GPU) is nothing
    assert told == ["aside waits for main", "begin aside", "run", "end", "main waits for aside"]
    told.clear()
    graph, found = module._capture(made, GPU)
    assert (graph, found) == ("graph", filled)  # type: ignore[comparison-overlap]
    assert told == ["begin graph aside", "run", "end", "back to main"]
    told.clear()

    def fails() -> Tensor:
        raise RuntimeError("it waits")

    with pytest.raises(RuntimeError, match="it waits"):
        module._capture(fails, GPU)
    assert told == ["begin graph aside", "back to main"]


def test_captures_are_made_on_the_pictures_own_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device", lambda device: f"within {device}")
    assert module._current(torch.device("cuda:1")) == "within cuda:1"  # type: ignore[comparison-overlap]
    with module._current(torch.device("cpu")):
        pass
