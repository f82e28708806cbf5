"""Products and convolutions in full float32, whatever a process is set to.

In: nothing. Out: contexts. Knows of no loss and no optimizer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def full_products() -> Iterator[None]:
    """Within it matrix products round as float32 does.

    Beside convolutions of less precision torch may take tf32 or bfloat16 for them, with 3 digits:
    enough for features, which have no more, and not for what is the difference of large numbers.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@contextmanager
def full_float32() -> Iterator[None]:
    """Within it convolutions round as float32 does, too.

    So style targets are the same whatever precision the loop has whose batch needs them first.
    """
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        with full_products():
            yield
    finally:
        torch.backends.cudnn.allow_tf32 = before
