"""A step as one CUDA graph: captured once a scale, replayed in place, left where that fails.

No GPU is needed: graphs record what is run and run it again, and tensors say that they lie on one.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from device_world import DeviceWorld

from pipeline.manifest import Settings
from pipeline.method import StepGraphs, optimize
from pipeline.method import graphs as module
from pipeline.method.tiles import losses_and_gradient


class Recorded:
    """Stands for a CUDA graph: a replay computes anew and fills the tensors of the capture."""

    def __init__(self, run: Callable[[], Any], found: Any) -> None:
        self.run, self.found, self.replays = run, found, 0

    def replay(self) -> None:
        self.replays += 1
        (losses, gradient), (own, slope) = self.run(), self.found
        own.parts.copy_(losses.parts), own.total.copy_(losses.total), slope.copy_(gradient)


@pytest.fixture
def captured(monkeypatch: pytest.MonkeyPatch) -> list[Recorded]:
    """The graphs that were taken, of pictures on the CPU."""
    made: list[Recorded] = []

    def capture(run: Callable[[], Any]) -> tuple[Recorded, Any]:
        found = run()
        made.append(Recorded(run, found))
        return made[-1], found

    monkeypatch.setattr(module, "_capture", capture)
    monkeypatch.setattr(module, "_DEVICE", "cpu")
    return made


def world(**changed: object) -> DeviceWorld:
    given = {"size": 96, "steps": [4, 4], "scale_start": 64, "scale_factor": 2.0, **changed}
    return DeviceWorld(Settings.model_validate(given))


def losses(where: DeviceWorld, gradients: Any) -> list[torch.Tensor]:
    torch.manual_seed(0)
    inputs = [where.inputs(index) for index in range(len(where.scales))]
    jobs = [where.settings] * where.jobs
    steps = optimize(where.backbone, jobs, where.scales, inputs.__getitem__, gradients=gradients)
    return [step.losses.table() for step in steps]


@pytest.mark.parametrize("preset", ["classic", "default", "gatys2016"])
def test_replays_give_the_same_losses(preset: str, captured: list[Recorded]) -> None:
    own = {"scale_start": 0, "steps": 4} if preset == "gatys2016" else {"neighbor_every": 2}
    where = world(preset=preset, **own)
    plain, graphed = (losses(where, way) for way in (losses_and_gradient, StepGraphs()))
    assert len(captured) == len(where.scales)  # one each, also where neighbors are chosen anew
    assert sum(graph.replays for graph in captured) == len(plain) == len(graphed)
    for a, b in zip(plain, graphed, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)


def test_jobs_that_settle_are_left_by_a_new_graph(captured: list[Recorded]) -> None:
    where = world(preset="classic", steps=31, scale_start=0, tolerance=0.5)
    way = StepGraphs()
    assert losses(where, way)
    assert not way.problem


def test_tiles_and_other_devices_go_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_capture", lambda run: pytest.fail("nothing is captured"))
    way = StepGraphs()
    losses(world(preset="classic"), way)  # on a CPU
    monkeypatch.setattr(module, "_DEVICE", "cpu")
    where = world(preset="classic")
    where.extras = ["tiles"]
    losses(where, way)
    assert not way.problem


def test_what_cannot_be_captured_is_run_call_by_call(
    captured: list[Recorded], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def refuse(run: Callable[[], Any]) -> None:
        tried.append(1)
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nmore")

    monkeypatch.setattr(module, "_capture", refuse)
    where, way = world(preset="classic"), StepGraphs()
    assert len(losses(where, way)) == 8
    assert tried == [1]  # and not again at the next scale
    said = "RuntimeError: CUDA error: operation not permitted when stream is capturing"
    assert way.problem == said


def test_running_out_of_memory_is_not_taken_for_that(
    captured: list[Recorded], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(run: Callable[[], Any]) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(module, "_capture", full)
    way = StepGraphs()
    with pytest.raises(torch.OutOfMemoryError):
        losses(world(preset="classic"), way)
    assert not way.problem


def test_a_capture_warms_up_aside(monkeypatch: pytest.MonkeyPatch) -> None:
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

    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: Stream("main"))
    monkeypatch.setattr(torch.cuda, "stream", within)
    monkeypatch.setattr(torch.cuda, "graph", within)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: "graph")
    graph, found = module._capture(lambda: told.append("run"))  # type: ignore[arg-type, return-value]
    assert (graph, found) == ("graph", None)  # type: ignore[comparison-overlap]
    assert told == [
        "aside waits for main", "begin aside", "run", "run", "end", "main waits for aside",
        "begin graph", "run", "end",
    ]  # fmt: skip
