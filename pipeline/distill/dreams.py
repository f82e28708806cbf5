"""Pictures that are optimized through the student while it learns: wherever it would let patterns
through that the teacher objects to, it is shown those patterns.

In: crops, the teacher's features of them, the student. Out: pixels. Must not know the training's
loss, nor its optimizers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.distill.recipe import STYLE_TAPS
from pipeline.distill.student import Student
from pipeline.method import gram

# Pixel steps until a picture is begun anew.
_LIFE = 60


@dataclass
class Dreams:
    """Pictures that are optimized through the student while it learns.

    Attributes:
        pixels: N x 3 x side x side in [0, 1].
        grams: per style tap the teacher's Grams N x K x K that the picture moves towards.
        contents: the teacher's conv4_2 features N x K x h x w that it should keep.
        ages: pixel steps so far, N.
    """

    pixels: Tensor
    grams: dict[str, Tensor]
    contents: Tensor
    ages: Tensor

    @classmethod
    def empty(cls, count: int, side: int, outputs: Mapping[str, int], device: str) -> Dreams:
        """All of them old, so that each is begun anew when its turn comes."""
        grams = {
            tap: torch.zeros(count, outputs[tap], outputs[tap], device=device) for tap in STYLE_TAPS
        }
        contents = torch.zeros(count, outputs["conv4_2"], side // 8, side // 8, device=device)
        ages = torch.full((count,), _LIFE)
        return cls(torch.zeros(count, 3, side, side, device=device), grams, contents, ages)

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> Dreams:
        """What `tensors` gave. Ages are kept on the CPU, where they are looked at."""
        grams = {tap: tensors[f"grams.{tap}"] for tap in STYLE_TAPS}
        return cls(tensors["pixels"], grams, tensors["contents"], tensors["ages"].cpu())

    def tensors(self) -> dict[str, Tensor]:
        """All state by name."""
        plain = {"pixels": self.pixels, "contents": self.contents, "ages": self.ages}
        return plain | {f"grams.{tap}": grams for tap, grams in self.grams.items()}

    def is_old(self, index: int) -> bool:
        """Whether picture `index` is to be begun anew."""
        return bool(self.ages[index] >= _LIFE)

    def restart(self, index: int, crops: Tensor, teacher: Mapping[str, Tensor], turn: int) -> None:
        """Begins picture `index` anew: content one fresh crop, style another."""
        content, style = turn % len(crops), (turn + 1 + turn // len(crops)) % len(crops)
        self.pixels[index] = crops[content]
        self.contents[index] = teacher["conv4_2"][content]
        for tap, grams in self.grams.items():
            grams[index] = gram(teacher[tap][style : style + 1])[0]
        self.ages[index] = 0

    def advance(self, indices: Sequence[int], student: Student) -> None:
        """One pixel step towards the Grams through the student, smaller with age."""
        chosen = list(indices)
        pixels = self.pixels[chosen].requires_grad_()
        features = student(pixels)
        loss = (features["conv4_2"] - self.contents[chosen]).square().mean() * 0.2
        for tap, grams in self.grams.items():
            wanted = grams[chosen]
            apart = (gram(features[tap]) - wanted).norm(dim=(1, 2)) / wanted.norm(dim=(1, 2))
            loss = loss + apart.sum()
        (gradient,) = torch.autograd.grad(loss, pixels)
        strength = gradient.square().mean((1, 2, 3), keepdim=True).sqrt().clamp_min(1e-12)
        rate = 0.05 * 0.1 ** (self.ages[chosen] / _LIFE)
        moved = pixels.detach() - rate.to(pixels.device)[:, None, None, None] * gradient / strength
        self.pixels[chosen] = moved.clamp(0, 1)
        self.ages[chosen] += 1
