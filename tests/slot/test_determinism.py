"""`--deterministic`: what torch is set to, what records say, and what has no such form."""

import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from batches import INLINE, records, summary, write

from pipeline.commands import batch_manifest
from pipeline.slot import loop
from pipeline.slot.determinism import deterministic

HEAD = "output: run\ncontent: a.png\nstyle: s.png\nbackbone: lite\n"


@pytest.fixture
def manifest(tmp_path: Path, picture: Callable[..., Path]) -> Path:
    picture("a.png", 1)
    picture("s.png", 2)
    path = tmp_path / "m.yaml"
    write(path, HEAD + "settings: {preset: classic, size: 48, steps: 2, scale_start: 0}\n")
    return path


@pytest.mark.parametrize("wanted", [False, True])
def test_workers_take_deterministic_algorithms_where_that_is_asked_for(
    manifest: Path, monkeypatch: pytest.MonkeyPatch, wanted: bool
) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    seen: list[tuple[bool, bool]] = []
    real = loop.optimize

    def optimize(*given: Any, **more: Any) -> Iterator[Any]:
        own = "CUBLAS_WORKSPACE_CONFIG" in os.environ
        seen.append((torch.are_deterministic_algorithms_enabled(), own))
        return real(*given, **more)

    monkeypatch.setattr(loop, "optimize", optimize)
    options = dataclasses.replace(INLINE, deterministic=wanted)
    assert batch_manifest(manifest, options, quiet=True, with_report=False) == 0
    assert seen == [(wanted, wanted)] and not torch.are_deterministic_algorithms_enabled()
    (record,) = records(manifest.parent / "run").values()
    assert record["deterministic"] is wanted


def test_an_operation_without_a_deterministic_form_is_named(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def optimize(*given: Any, **more: Any) -> Iterator[Any]:
        """`put_` has no deterministic form on any device."""
        torch.zeros(3).put_(torch.tensor([0]), torch.ones(1), accumulate=False)
        yield

    monkeypatch.setattr(loop, "optimize", optimize)
    options = dataclasses.replace(INLINE, deterministic=True)
    assert batch_manifest(manifest, options, quiet=True, with_report=False) == 1
    failed = (manifest.parent / "run/failures.jsonl").read_text()
    assert "--deterministic: put_ has no deterministic form on cpu; leave the option out" in failed
    assert summary(manifest.parent / "run")["failed"] == 1


def test_another_error_stays_what_it_is() -> None:
    with pytest.raises(RuntimeError, match="something else"), deterministic(True, "cpu"):
        raise RuntimeError("something else")
    assert not torch.are_deterministic_algorithms_enabled()
