"""Who takes steps as CUDA graphs, and what is said where that fails."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from pipeline.slot import loop as module
from pipeline.slot.loop import Loop
from pipeline.slot.outputs import Result


def loop(device: str = "cuda:0", **context: bool) -> Loop:
    given = {"graphs": True, "compiles": False, "deterministic": False, **context}
    process = SimpleNamespace(not_compiled="")
    seat = SimpleNamespace(context=SimpleNamespace(**given), device=device, process=process)
    return Loop(*(cast(Any, each) for each in (seat, None, None, None, None, None)))


def test_a_gpus_steps_are_graphs_where_that_is_asked_for() -> None:
    assert loop().graphs is not None
    assert loop("cpu").graphs is None and loop("mps").graphs is None
    for other in ({"graphs": False}, {"compiles": True}, {"deterministic": True}):
        assert loop(**other).graphs is None


@pytest.mark.parametrize("problem", ["", "RuntimeError: it waits"])
def test_a_record_says_that_there_was_no_graph(
    problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    driven = loop()
    assert driven.graphs is not None
    driven.graphs.problem = problem
    result = Result(torch.zeros(3, 2, 2), [], 1)
    monkeypatch.setattr(driven, "_drive_once", lambda ready: [result])
    (found,) = driven._drive(())
    said = [(notice.code, notice.text) for notice in found.warnings]
    text = "steps are taken call by call, not as a CUDA graph: RuntimeError: it waits"
    assert said == ([("not_graphed", text)] if problem else [])


def test_a_graph_is_let_go_where_memory_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    driven, let_go = loop(), []

    def full(*given: Any) -> None:
        assert given[-1] is driven.graphs
        raise torch.OutOfMemoryError("CUDA out of memory")

    driven.seat.process.networks = cast(Any, None)
    driven.batch = cast(Any, SimpleNamespace(scales=[None]))
    driven.way = cast(Any, SimpleNamespace(begin=lambda ready: None))
    monkeypatch.setattr(module, "optimize", full)
    monkeypatch.setattr(module.StepGraphs, "release", lambda self: let_go.append(self))
    with pytest.raises(torch.OutOfMemoryError):
        driven._drive_once([])
    assert let_go == [driven.graphs]
