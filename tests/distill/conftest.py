"""A small teacher and photos for all that trains."""

from collections.abc import Callable
from pathlib import Path

import pytest
from students import write_teacher

from pipeline.distill import find_pictures
from pipeline.method import Weights, load_weights


@pytest.fixture
def teacher(tmp_path: Path) -> Weights:
    return load_weights("lite", write_teacher(tmp_path / "teacher.safetensors"))


@pytest.fixture
def photos(tmp_path: Path, picture: Callable[..., Path]) -> list[Path]:
    for seed in range(4):
        picture(f"photos/{seed}.png", seed)
    return find_pictures(tmp_path / "photos")
