"""What a style loss is: one record of all there is to know of it.

In: nothing. Out: `StyleStatistic`, of which every style loss here is one. Knows no particular loss.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class StyleStatistic:
    """What is compared of a style layer, and how.

    Targets are means over positions, so that pictures of different size compare and styles blend.

    Attributes:
        sums: over all positions: features B x C x h x w -> B x C' x K. Features may come multiplied
            by the square root of each position's weight.
        measures: by the setting `loss` (`paper`, `mean`, `relative`), the loss B x R of the means
            found (B x R x C' x K) against what `prepare` gave, and the number of channels N: that
            of C, but where a small network stands in for one with more.
        prepare: what the measures need of targets B x R x C' x K, computed once.
        with_ones: whether `sums` wants a last channel of ones (C + 1 in all), for plain means.
        additive: whether the sums over parts of a picture add up to the whole's, as tiles need.
    """

    sums: Callable[[Tensor], Tensor]
    measures: Mapping[str, Callable[[Tensor, Tensor, int], Tensor]]
    prepare: Callable[[Tensor], Tensor] = lambda target: target
    with_ones: bool = False
    additive: bool = True
