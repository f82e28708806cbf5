"""Small pictures made in the test, and a cache that no other run shares."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

# Several tests run side by side, each in a process of its own: with torch's threads for all cores
# in each of them, they would wait for each other. Set before torch is loaded.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image
from worlds import World

settings.register_profile("same every time", derandomize=True, deadline=None)
settings.load_profile("same every time")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips what wants a GPU where there is none, in sight."""
    if item.get_closest_marker("gpu"):
        torch = pytest.importorskip("torch")
        if not torch.cuda.is_available():
            pytest.skip("wants a CUDA GPU")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NST_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def _torch_as_it_was() -> Iterator[None]:
    """A run sets its process to its precision, which the next test must not see."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_float32_matmul_precision("highest")


@pytest.fixture
def picture(tmp_path: Path) -> Callable[..., Path]:
    """Writes a small smooth random picture and gives its path."""

    def make(name: str, seed: int = 0, size: tuple[int, int] = (72, 56)) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
        Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).save(path)
        return path

    return make


@pytest.fixture
def world(tmp_path: Path, picture: Callable[..., Path]) -> Callable[[list[int]], World]:
    """Makes a plan of one job a seed, each of which does what its seed says."""
    picture("c.png", 1)
    picture("s.png", 2)
    return lambda seeds: World(tmp_path, seeds)


@pytest.fixture(autouse=True)
def _no_storage_left() -> Iterator[None]:
    """What a test put into fsspec's memory, and secrets of addresses, are gone for the next one."""
    yield
    if "fsspec.implementations.memory" in sys.modules:
        memory = sys.modules["fsspec.implementations.memory"].MemoryFileSystem
        memory.store.clear()
        memory.pseudo_dirs[:] = [""]
    if "pipeline.address" in sys.modules:
        sys.modules["pipeline.address"]._KEPT.clear()
