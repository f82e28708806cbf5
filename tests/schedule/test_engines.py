"""Dask and Ray: the same keys and pictures as on one machine, and lost workers."""

import hashlib
import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.commands import Options, batch_manifest
from pipeline.errors import EngineError
from pipeline.schedule import RunOptions
from pipeline.store import RunFolder

TEXT = (
    "output: {}\ncontent: c.png\nstyle: s.png\nbackbone: lite\n"
    "settings: {{size: 48, steps: 3, scale_start: 0}}\ngrid: {{seed: [0, 1, 2, 3]}}\n"
)


def run(folder: Path, name: str, options: RunOptions) -> dict[str, tuple[str, np.ndarray]]:
    """Key and pixels of every job of a run."""
    (folder / "m.yaml").write_text(TEXT.format(name))
    assert batch_manifest(folder / "m.yaml", Options("cpu", run=options), quiet=True) == 0
    found = {}
    for record in RunFolder(folder / name).records():
        path = folder / name / record["output"]["path"]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == record["output"]["sha256"]
        found[record["name"]] = (record["key"], np.asarray(Image.open(path)).astype(int))
    return found


@pytest.mark.parametrize("engine", ["dask", "ray"])
def test_a_cluster_makes_the_same_pictures(
    engine: str, tmp_path: Path, picture: Callable[..., Path]
) -> None:
    module = {"dask": "distributed", "ray": "ray"}[engine]
    pytest.importorskip(module, reason=f"pip install 'nst[{engine}]' to test it")
    picture("c.png", 1)
    picture("s.png", 2)
    here = run(tmp_path, "here", RunOptions(engine="inline"))
    there = run(tmp_path, "there", RunOptions(engine=engine, workers=2))
    assert here.keys() == there.keys()
    for name, (key, pixels) in here.items():
        assert there[name][0] == key
        assert np.abs(there[name][1] - pixels).max() <= 1


@pytest.mark.parametrize(("engine", "module"), [("dask", "distributed"), ("ray", "ray")])
def test_a_missing_extra_says_what_to_install(
    engine: str,
    module: str,
    tmp_path: Path,
    picture: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    picture("c.png", 1)
    picture("s.png", 2)
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == module else find(name)
    )
    (tmp_path / "m.yaml").write_text(TEXT.format("run"))
    with pytest.raises(EngineError, match=rf"pip install 'nst\[{engine}\]'"):
        batch_manifest(
            tmp_path / "m.yaml", Options("cpu", run=RunOptions(engine=engine)), quiet=True
        )
