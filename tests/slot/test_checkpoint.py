"""Checkpoints that cannot be gone on from."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from pipeline.slot.checkpoint import load_checkpoint
from pipeline.store import RunFolder


@pytest.mark.parametrize(
    "about",
    [None, {}, {"about": "{"}, {"about": "{}"}, {"about": "null"}, {"about": '{"scale": 0}'}],
)
def test_a_checkpoint_that_does_not_say_where_it_stands_is_none(
    tmp_path: Path, about: dict[str, str] | None
) -> None:
    store = RunFolder(tmp_path)
    store.checkpoint_path("k").parent.mkdir(parents=True)
    store.checkpoint_path("k").write_bytes(save({"images": torch.zeros(1)}, about))
    assert load_checkpoint(store, "k") is None


def test_a_checkpoint_that_was_cut_off_is_none(tmp_path: Path) -> None:
    store = RunFolder(tmp_path)
    store.checkpoint_path("k").parent.mkdir(parents=True)
    store.checkpoint_path("k").write_bytes(save({"images": torch.zeros(8)}, {"about": "{}"})[:-8])
    assert load_checkpoint(store, "k") is None
