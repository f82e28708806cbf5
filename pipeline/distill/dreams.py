"""Pictures that are optimized through the student while it learns: wherever it would let patterns
through that the teacher objects to, it is shown those patterns.

In: crops, the teacher's features of them, the student. Out: pixels. Must not know the training's
loss, nor its optimizers.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from pipeline.distill.recipe import STYLE_TAPS
from pipeline.distill.student import Student
from pipeline.method import gram

# Pixel steps until a picture is begun anew.
LIFE = 80
_RATE = 0.04
_BETAS = (0.9, 0.99)


@dataclass
class Dreams:
    """Pictures on their way through the student, as a user's picture is: by Adam, which takes the
    sign of small gradients for large ones.

    Attributes:
        pixels: N x 3 x side x side in [0, 1].
        first, second: Adam's moments, as `pixels`.
        grams: per style tap the teacher's Grams N x K x K that the picture moves towards.
        contents: the teacher's conv4_2 features N x K x h x w that it should keep.
        balances: the content's weight, N.
        ages: pixel steps so far, N.
    """

    pixels: Tensor
    first: Tensor
    second: Tensor
    grams: dict[str, Tensor]
    contents: Tensor
    balances: Tensor
    ages: Tensor

    @classmethod
    def empty(cls, count: int, side: int, outputs: Mapping[str, int], device: str) -> Dreams:
        """All of them old, so that each is begun anew when its turn comes."""
        grams = {
            tap: torch.zeros(count, outputs[tap], outputs[tap], device=device) for tap in STYLE_TAPS
        }
        pixels = torch.zeros(count, 3, side, side, device=device)
        contents = torch.zeros(count, outputs["conv4_2"], side // 8, side // 8, device=device)
        ages = torch.full((count,), LIFE)
        balances = torch.zeros(count, device=device)
        return cls(pixels, pixels.clone(), pixels.clone(), grams, contents, balances, ages)

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> Dreams:
        """What `tensors` gave. Ages are kept on the CPU, where they are looked at."""
        grams = {tap: tensors[f"grams.{tap}"] for tap in STYLE_TAPS}
        plain = {f.name: tensors[f.name] for f in fields(cls) if f.name != "grams"}
        return cls(**plain | {"grams": grams, "ages": tensors["ages"].cpu()})  # type: ignore[arg-type]

    def tensors(self) -> dict[str, Tensor]:
        """All state by name."""
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "grams"}
        return plain | {f"grams.{tap}": grams for tap, grams in self.grams.items()}

    def is_old(self, index: int) -> bool:
        """Whether picture `index` is to be begun anew."""
        return bool(self.ages[index] >= LIFE)

    def restart(
        self,
        index: int,
        content: tuple[Tensor, Mapping[str, Tensor]],
        style: tuple[Tensor, Mapping[str, Tensor]],
        draw: random.Random,
    ) -> None:
        """Begins picture `index` anew: from the content as it is or in the style's colors.

        Args:
            content, style: a picture 1 x 3 x side x side, and the teacher's features of it.
        """
        pixels = content[0][0]
        if draw.random() < 0.5:
            pixels = _colored(pixels, style[0][0])
        self.pixels[index] = pixels
        self.first[index] = self.second[index] = 0
        self.contents[index] = content[1]["conv4_2"][0]
        for tap, grams in self.grams.items():
            grams[index] = gram(style[1][tap])[0]
        self.balances[index] = 0.05 * 10 ** draw.uniform(-1, 0.3)
        self.ages[index] = 0

    def advance(self, indices: Sequence[int], student: Student, steps: int) -> None:
        """Pixel steps towards the Grams through the student, smaller with age."""
        chosen = list(indices)
        for _ in range(steps):
            pixels = self.pixels[chosen].requires_grad_()
            (gradient,) = torch.autograd.grad(self._loss(chosen, pixels, student), pixels)
            ages = self.ages[chosen].to(pixels.device)[:, None, None, None]
            first = self.first[chosen].lerp(gradient, 1 - _BETAS[0])
            second = self.second[chosen].lerp(gradient.square(), 1 - _BETAS[1])
            unbiased = first / (1 - _BETAS[0] ** (ages + 1))
            spread = (second / (1 - _BETAS[1] ** (ages + 1))).sqrt() + 1e-12
            rate = _RATE * 0.1 ** (ages / LIFE)
            self.pixels[chosen] = (pixels.detach() - rate * unbiased / spread).clamp(0, 1)
            self.first[chosen], self.second[chosen] = first, second
            self.ages[chosen] += 1

    def _loss(self, chosen: list[int], pixels: Tensor, student: Student) -> Tensor:
        """Relative losses, as the default preset's; one sum over the pictures."""
        features = student(pixels)
        wanted = self.contents[chosen]
        apart = (features["conv4_2"] - wanted).square().sum((1, 2, 3))
        loss: Tensor = (self.balances[chosen] * apart / wanted.square().sum((1, 2, 3))).sum() * 5
        for tap, grams in self.grams.items():
            target = grams[chosen]
            apart = (gram(features[tap]) - target).norm(dim=(1, 2)) / target.norm(dim=(1, 2))
            loss = loss + apart.sum()
        return loss


def _colored(pixels: Tensor, like: Tensor) -> Tensor:
    """`pixels` with the mean and deviation of each channel of `like`, 3 x H x W in [0, 1]."""
    mean, deviation = pixels.mean((1, 2), keepdim=True), pixels.std((1, 2), keepdim=True)
    other, its = like.mean((1, 2), keepdim=True), like.std((1, 2), keepdim=True)
    return ((pixels - mean) / (deviation + 1e-3) * its + other).clamp(0, 1)
