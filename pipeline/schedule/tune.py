"""How many workers of how many threads make the most of this machine's CPU, found by measuring.

In: nothing but the machine. Out: steps a second of each way to share out the cores, and the best.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from joblib.externals.loky import ProcessPoolExecutor

from pipeline.manifest import Settings
from pipeline.method import (
    Backbone,
    ScaleInputs,
    load_weights,
    optimize,
    schedule_scales,
    style_targets,
)
from pipeline.slot import (
    PROCESS_BYTES,
    SHARE,
    keep_freed_memory,
    network_type,
    total_memory,
    use_precision,
)

# A layout of fewer workers is taken where it makes as many steps but for this share.
_AS_GOOD = 0.03


@dataclass(frozen=True)
class Layout:
    """One way to share out the cores.

    Attributes:
        steps: a second, of all workers together.
    """

    workers: int
    threads: int
    steps: float


def _steps_per_second(threads: int, side: int, start: float, seconds: float) -> float:
    """In a worker: optimizer steps of one picture with `lite`, from a moment on."""
    torch.set_num_threads(threads)
    keep_freed_memory()  # as a run's workers do
    settings = Settings(size=side, steps=1_000_000, scale_start=0)
    dtype = network_type(use_precision("auto", "cpu"))
    network = Backbone(load_weights("lite"), settings.layers, dtype=dtype)
    picture = torch.rand(3, side, side)
    targets = style_targets(network, picture, tuple(settings.style_layers), settings.style_loss)
    stacked = {layer: values[None] for layer, values in targets.items()}
    given = ScaleInputs(picture[None], torch.zeros(1, dtype=torch.long), stacked)
    loop = optimize(network, [settings], schedule_scales(settings, side, side), lambda _: given)
    for _ in range(3):
        next(loop)
    time.sleep(max(0.0, start - time.time()))
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        next(loop)
        count += 1
    return count / (time.perf_counter() - began)


def _ready() -> None:
    """To get here a worker has imported all it needs."""
    time.sleep(0.2)  # so that no worker takes two of these


def measure_layouts(cores: int, side: int = 256, seconds: float = 3.0) -> Iterator[Layout]:
    """Steps a second with 1, 2, 4, ... workers that share all cores, as many as memory holds; each
    takes some seconds.

    Args:
        cores: that may be used.
        side: of the picture, px.
        seconds: of measuring.
    """
    workers = 1
    most = max(1, min(cores, int(SHARE * total_memory() / PROCESS_BYTES)))
    while workers <= most:
        threads = cores // workers
        with ProcessPoolExecutor(max_workers=workers) as pool:
            for future in [pool.submit(_ready) for _ in range(workers)]:
                future.result()
            start = time.time() + 2.0
            found = [
                pool.submit(_steps_per_second, threads, side, start, seconds)
                for _ in range(workers)
            ]
            yield Layout(workers, threads, sum(future.result() for future in found))
        workers = cores if workers < cores < 2 * workers else 2 * workers


def best_layout(layouts: list[Layout]) -> Layout:
    """The quickest; of those that are nearly as quick the one with the fewest workers."""
    top = max(layout.steps for layout in layouts)
    good = [layout for layout in layouts if layout.steps >= (1 - _AS_GOOD) * top]
    return min(good, key=lambda layout: layout.workers)
