"""How much faster a step is than another checkout's, both measured in one run, turn by turn.

    git worktree add /tmp/before v1
    python benchmarks/step_ratio.py /tmp/before

Each checkout has a process of one thread, with the same network and settings, which takes some
steps whenever it is told to. What is compared is the CPU time of a step, of which what else runs
on the machine takes nothing away; `ratio` is the median over the rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

HOME = Path(__file__).resolve().parents[1]


def steps(backbone: str, preset: str, size: int, precision: str) -> Iterator[float]:
    """CPU seconds of a step of one picture, 4:3 of long side `size`, on and on."""
    import torch
    from stepping import begin_steps

    from pipeline.manifest import Settings
    from pipeline.method import Backbone, load_weights

    torch.set_num_threads(1)
    with contextlib.suppress(ImportError):  # what a CPU's worker begins with, where it is there
        from pipeline.slot import keep_freed_memory

        keep_freed_memory()
    # As a slot sets it, in which checkouts may differ.
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    torch.set_float32_matmul_precision("medium" if precision == "bf16" else "highest")
    plain = {"precision": precision, "init": "content", "neighbor_every": 10**6}
    s = Settings.model_validate(
        {"preset": preset, "size": size, "scale_start": 0, "fit": "long", "steps": 10**6} | plain
    )
    network = Backbone(
        load_weights(backbone), s.layers, s.pooling, s.padding, dtype, s.pooling_scale
    )
    loop, _ = begin_steps(network, s, size)
    while True:
        began = time.process_time()
        step = next(loop)
        yield time.process_time() - began
        assert bool(step.losses.total.isfinite().all())


def serve(words: list[str]) -> None:
    """Takes as many steps as each line says, and says the median of their times."""
    backbone, preset, size, precision = words
    measured = steps(backbone, preset, int(size), precision)
    for line in sys.stdin:
        print(statistics.median(next(measured) for _ in range(int(line))), flush=True)


class Checkout:
    """A process that takes steps with the code of a checkout."""

    def __init__(self, folder: Path, words: list[str]) -> None:
        environment = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--serve", *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=folder,
        )  # fmt: skip

    def take(self, count: int) -> float:
        """Median CPU seconds of so many steps."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


def compare(before: Path, words: list[str], rounds: int, count: int) -> tuple[float, float, float]:
    """Median milliseconds before and now, and the median of their ratios."""
    both = [Checkout(folder, words) for folder in (before, HOME)]
    for checkout in both:
        checkout.take(3)  # the first steps make what stays
    found = [tuple(checkout.take(count) for checkout in both) for _ in range(rounds)]
    for checkout in both:
        checkout.process.communicate()
    old, new = (statistics.median(times) * 1000 for times in zip(*found, strict=True))
    return old, new, statistics.median(a / b for a, b in found)


def main() -> None:
    """Prints a row for each combination."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("before", type=Path, help="another checkout's folder")
    parser.add_argument("--backbones", nargs="+", default=["lite", "vgg19"])
    parser.add_argument("--presets", nargs="+", default=["default", "classic"])
    parser.add_argument("--sizes", type=int, nargs="+", default=[256])
    parser.add_argument("--precisions", nargs="+", default=["bf16", "fp32"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=5, help="of each round")
    given = parser.parse_args()
    for backbone in given.backbones:
        for preset in given.presets:
            for size in given.sizes:
                for precision in given.precisions:
                    words = [backbone, preset, str(size), precision]
                    old, new, ratio = compare(given.before, words, given.rounds, given.steps)
                    print(
                        f"{backbone:6} {preset:8} {size:5} px {precision:5}: {old:8.2f} ms before, "
                        f"{new:8.2f} ms now, ratio {ratio:.2f}",
                        flush=True,
                    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2:])
    else:
        main()
