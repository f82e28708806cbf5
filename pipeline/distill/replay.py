"""Pictures of before with the teacher's features of them, which cost more than a student's step.

In: pictures and features. Out: the same again, drawn by chance. Must not know how they were made.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

import torch
from torch import Tensor


class Replay:
    """The last pictures and the teacher's features of them, in half precision.

    Attributes:
        size: pictures kept; the oldest go first.
        groups: pictures N x 3 x side x side that came together, oldest first.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.groups: list[Tensor] = []
        self._features: list[dict[str, Tensor]] = []

    def __len__(self) -> int:
        return sum(map(len, self.groups))

    def add(self, images: Tensor, features: Mapping[str, Tensor]) -> None:
        """Keeps N pictures in [0, 1] and per tap their features N x K x h x w."""
        self.groups.append(images.detach().clone())
        self._features.append({tap: f.detach().half() for tap, f in features.items()})
        while len(self) > max(self.size, len(images)):
            del self.groups[0], self._features[0]

    def draw(self, count: int, draw: random.Random) -> tuple[Tensor, dict[str, Tensor]]:
        """`count` of them, perhaps some twice, each as likely: pictures, and features per tap."""
        places = [(g, i) for g, group in enumerate(self.groups) for i in range(len(group))]
        chosen = draw.choices(places, k=count)
        images = [self.groups[0][:0], *(self.groups[g][i : i + 1] for g, i in chosen)]
        features = {
            tap: [kept[:0], *(self._features[g][tap][i : i + 1] for g, i in chosen)]
            for tap, kept in self._features[0].items()
        }
        return torch.cat(images), {tap: torch.cat(found).float() for tap, found in features.items()}

    def together(self) -> list[int]:
        """How many pictures came together, group by group, oldest first."""
        return [len(group) for group in self.groups]
