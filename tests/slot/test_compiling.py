"""`--compile`: as many shapes as a run has, also where torch alone would stop."""

import dataclasses
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from batches import INLINE, write

from pipeline.commands import batch_manifest
from pipeline.method import Backbone, load_weights
from pipeline.slot import compiling
from pipeline.slot.process import PROCESS, Networks

SHAPES = [(2, 1, 40, 32 + 8 * index) for index in range(12)]


@pytest.fixture(autouse=True)
def _limits() -> Iterator[None]:
    """Torch's own, as they are before a run."""
    config = torch._dynamo.config
    names = [next(n for n in either if hasattr(config, n)) for either in compiling._LIMITS]
    before = {name: getattr(config, name) for name in names}
    for name, limit in zip(names, (8, 256), strict=True):
        setattr(config, name, limit)
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()
    for name, limit in before.items():
        setattr(config, name, limit)


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What torch compiles, by a compiler that leaves all as it is."""
    seen: list[Any] = []
    real = torch.compile

    def backend(graph: torch.fx.GraphModule, example: list[torch.Tensor]) -> Any:
        seen.append(graph)
        return graph.forward

    def compile_(network: Any, dynamic: bool) -> Any:
        return real(network, backend=backend, dynamic=dynamic)

    monkeypatch.setattr(torch, "compile", compile_)
    return seen


def calls(network: Backbone, shape: compiling.Seen) -> None:
    """What a batch asks of its network at a size: contents' features, and a step's."""
    pictures, contents, width, height = shape
    with torch.no_grad():
        network(torch.rand(contents, 3, height, width))
        network(torch.rand(pictures, 3, height, width))
    pixels = torch.rand(pictures, 3, height, width).requires_grad_()
    features = network(pixels, narrow=True)
    torch.autograd.grad(sum(each.sum() for each in features.values()), pixels)


def test_every_size_of_a_data_set_is_compiled(graphs: list[Any]) -> None:
    networks, counts = Networks(), []
    for layers in (["conv1_1"], ["conv1_1", "conv1_2"]):
        network = Backbone(load_weights("lite"), layers)
        for shape in SHAPES:
            calls(networks.compiled(network, [shape]), shape)
            counts.append(len(graphs))
    assert counts == [3 * (index + 1) for index in range(2 * len(SHAPES))]


def test_without_room_torch_stops_by_itself(graphs: list[Any]) -> None:
    """What the other test would see if limits were left alone."""
    network = compiling.compiled(Backbone(load_weights("lite"), ["conv1_1"]))
    for shape in SHAPES:
        calls(network, shape)
    assert len(graphs) == 8


def test_room_is_never_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    new = SimpleNamespace(recompile_limit=100, accumulated_recompile_limit=256)
    monkeypatch.setattr(torch._dynamo, "config", new)
    compiling.make_room(3)
    assert (new.recompile_limit, new.accumulated_recompile_limit) == (100, 256)
    compiling.make_room(90)
    assert (new.recompile_limit, new.accumulated_recompile_limit) == (360, 360)


def test_older_versions_have_other_names_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    old = SimpleNamespace(cache_size_limit=8, accumulated_cache_size_limit=256)
    monkeypatch.setattr(torch._dynamo, "config", old)
    compiling.make_room(10)
    assert vars(old) == {"cache_size_limit": 40, "accumulated_cache_size_limit": 256}


def test_a_run_of_mixed_sizes_is_compiled_for_each(
    tmp_path: Path, picture: Callable[..., Path], graphs: list[Any]
) -> None:
    PROCESS.forget()
    for index in range(5):
        picture(f"content/{index}.png", index, (64, 40 + 8 * index))
    picture("style/s.png", 9)
    write(
        tmp_path / "m.yaml",
        "output: run\ncontent: content\nstyle: style\nbackbone: lite\n"
        "settings: {preset: classic, size: 64, steps: 2, scale_start: 0, precision: fp32}\n",
    )
    options = dataclasses.replace(INLINE, compiles=True)
    assert batch_manifest(tmp_path / "m.yaml", options, quiet=True, with_report=False) == 0
    assert len(graphs) == 2 * 5  # of each size contents' features and the step
    PROCESS.forget()


@pytest.mark.long
@pytest.mark.skipif(shutil.which("g++") is None, reason="wants a compiler")
def test_torchs_own_compiler_takes_as_many() -> None:
    networks, network = Networks(), Backbone(load_weights("lite"), ["conv1_1"])
    for shape in SHAPES[:4]:
        calls(networks.compiled(network, [shape]), shape)
    counters = torch._dynamo.utils.counters
    assert counters["stats"]["unique_graphs"] >= 12 and not counters["recompile_limit"]
