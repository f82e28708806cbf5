"""The time of one step, by backbone, size, batch and precision, against the machine's own rate.

    python benchmarks/step.py --device cpu

The step is `nst`'s: forward, losses, backward to the picture, optimizer, average. `share` is the
arithmetic that the cut network must do, counted, over what the machine could have done in that
time at the rate of its fastest convolution or matrix product, measured here in the same precision.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch
from networks import multiply_adds
from stepping import begin_steps
from torch import nn

from pipeline.manifest import Settings
from pipeline.method import Backbone, load_weights
from pipeline.slot import network_type, use_precision


def synchronise(device: str) -> None:
    """Waits until the device has done all."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def timed(run: Callable[[], object], device: str, repeats: int) -> float:
    """Median seconds of `run`."""
    times = []
    for _ in range(repeats):
        synchronise(device)
        began = time.perf_counter()
        run()
        synchronise(device)
        times.append(time.perf_counter() - began)
    return statistics.median(times[len(times) > 2 :])


def fastest_rate(device: str, dtype: torch.dtype) -> float:
    """Multiply-adds a second of the fastest of some convolutions and a matrix product."""
    rates = []
    large = device.startswith("cuda")
    side = 128 if large else 48
    with torch.no_grad():
        for channels in (64, 128, 256, 512):
            conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
            conv = conv.to(device, dtype, memory_format=torch.channels_last)
            x = torch.randn(8 if large else 1, channels, side, side, device=device).to(dtype)
            x = x.contiguous(memory_format=torch.channels_last)
            work = x.shape[0] * side**2 * 9 * channels**2
            rates.append(work / timed(lambda c=conv, y=x: c(y), device, 7))  # type: ignore[misc]
        n = 8192 if large else 1536
        a = torch.randn(n, n, device=device).to(dtype)
        rates.append(n**3 / timed(lambda: a @ a, device, 7))
    return max(rates)


def step_seconds(
    network: Backbone, settings: Settings, size: int, batch: int, steps: int
) -> tuple[float, tuple[int, int]]:
    """Median seconds of a step of `batch` pictures, 4:3 of long side `size`."""
    device = str(network.input_weight.device)
    run, sides = begin_steps(network, settings, size, batch, device)
    return timed(lambda: next(run), device, steps), sides


def main() -> None:
    """Prints a row for each combination."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda:0" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024])
    parser.add_argument("--batches", type=int, nargs="+", default=[1])
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16"])
    parser.add_argument("--backbones", nargs="+", default=["lite", "vgg19"])
    parser.add_argument("--padding", default=Settings().padding)
    parser.add_argument("--steps", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    rows = []
    for precision in given.precisions:
        dtype = network_type(use_precision(precision, given.device))
        rate = fastest_rate(given.device, dtype)
        for name in given.backbones:
            weights = load_weights(name)
            for size in given.sizes:
                for batch in given.batches:
                    settings = Settings(size=size, scale_start=0, steps=given.steps)
                    network = Backbone(weights, settings.layers, "avg", given.padding, dtype)
                    network = network.to(given.device)
                    seconds, (width, height) = step_seconds(
                        network, settings, size, batch, given.steps
                    )
                    layers = {x: int(x in settings.style_layers) for x in settings.layers}
                    work = batch * multiply_adds(weights, layers, width, height)
                    rows.append(
                        {
                            "precision": precision, "backbone": name, "size": size, "batch": batch,
                            "step_s": round(seconds, 4), "images_steps_per_s": batch / seconds,
                            "gmac": work / 1e9, "share": work / seconds / rate,
                        }
                    )  # fmt: skip
                    if not given.json:
                        print(
                            f"{precision} {name:6} {size:5} px x {batch}: {seconds:7.3f} s a step, "
                            f"{batch / seconds:8.2f} image steps/s, {work / 1e9:8.1f} GMAC, "
                            f"{100 * rows[-1]['share']:5.1f}% of {rate / 1e9:.0f} GMAC/s",
                            flush=True,
                        )
    if given.json:
        print(json.dumps(rows))


if __name__ == "__main__":
    main()
