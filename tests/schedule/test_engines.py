"""The table of engines."""

import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest
from worlds import World

from pipeline.errors import EngineError
from pipeline.schedule import ENGINES
from pipeline.schedule.engines import EngineKind


def test_an_engine_is_told_by_its_name_and_says_what_it_needs() -> None:
    assert [name for name, kind in ENGINES.items() if kind.is_cluster] == ["dask", "ray"]
    for kind in ENGINES.values():
        assert callable(getattr(importlib.import_module(kind.module), kind.function))
        assert bool(kind.package) == bool(kind.extra)


def test_an_extra_of_the_table_is_one_of_the_package() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    extras = text.partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    for kind in ENGINES.values():
        if kind.extra:
            (line,) = [line for line in extras.splitlines() if line.startswith(f"{kind.extra} =")]
            assert f'"{kind.package}>=' in line


def test_a_new_engine_is_a_line_in_the_table(
    world: Callable[[list[int]], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENGINES, "slurm", EngineKind("pipeline.schedule.local", "open_inline"))
    assert world([1, 2]).run(engine="slurm").done == 2


@pytest.mark.parametrize(("engine", "package"), [("dask", "distributed"), ("ray", "ray")])
def test_a_missing_extra_says_what_to_install(
    engine: str,
    package: str,
    world: Callable[[list[int]], World],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == package else find(name)
    )
    with pytest.raises(EngineError) as raised:
        world([1]).run(engine=engine)
    assert str(raised.value) == (
        f"--engine {engine} needs {package}, which is not installed: "
        f"pip install '.[{engine}]' in a checkout"
    )
