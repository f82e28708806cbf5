"""A run to report on."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fake_run import small_run


@pytest.fixture
def run(tmp_path: Path, picture: Callable[..., Path]) -> Path:
    """2 contents x 2 styles x 2 weights, one of them missing, and one failure."""
    return small_run(tmp_path / "run", picture)
