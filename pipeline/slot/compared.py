"""What style losses make of their targets: where that takes long, once a style and in threads.

In: targets by style. Out: what they are compared by. Uses no device.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from pipeline.method import prepare_targets, prepares_once
from pipeline.slot.kept import Kept

# Of a style at a scale, per layer.
Compared = Mapping[str, tuple[Tensor, ...]]


def compared_by(
    styles: Mapping[str, Sequence[Mapping[str, Tensor]]],
    loss: str,
    device: str,
    kept: Kept,
    threads: int = 1,
) -> dict[str, tuple[Compared, ...]]:
    """What targets are compared by, per style and scale; nothing where that is found for each batch
    on its device, or for Apple's GPU, which has it found and used on the CPU.

    Args:
        styles: by what decides a style's targets, these per scale and layer.
        loss: the style loss.
        device: on which it is compared: a CPU goes on in the precision in which this is found,
            for others it is rounded to float32.
        kept: where it is looked for first, and put.
        threads: in which styles and scales are taken side by side.
    """
    if not prepares_once(loss) or device == "mps":
        return dict.fromkeys(styles, ())

    def at(name: str, scale: int) -> Compared:
        def make() -> Compared:
            return prepare_targets(loss, styles[name][scale], device)

        kind = "whole" if device == "cpu" else "float32"
        return kept.get(f"{kind} {scale} {name}", make)

    pairs = [(name, scale) for name, scales in styles.items() for scale in range(len(scales))]
    # A new thread is told how many of torch's own it has by asking; else its first product takes
    # all cores, and ends in other last bits than the next one's.
    with ThreadPoolExecutor(threads, initializer=torch.get_num_threads) as pool:
        found = dict(zip(pairs, pool.map(at, *zip(*pairs, strict=True)), strict=True))
    return {
        name: tuple(found[name, scale] for scale in range(len(scales)))
        for name, scales in styles.items()
    }
