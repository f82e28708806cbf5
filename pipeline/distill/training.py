"""Distilling: trains a small VGG-shaped student to stand in for a large teacher.

In: a teacher's weights and a folder of pictures. Out: a student's `Weights`, and a checkpoint from
which a killed training goes on to the same result. Knows nothing of manifests, jobs or the console.

What counts is the picture that optimization *through* the student gives. So the student matches the
teacher's features and their Gram matrices, and part of each batch are pictures that are being
optimized through the student itself while it learns: wherever it would let patterns through that
the teacher objects to, it is shown those patterns.

Each tap (a layer in `TAPS`) has a 1x1 head that maps the student's few channels to the teacher's
leading principal directions (of the uncentered second moment). Dropping the rest is an isometry of
what is kept, so distances between the student's Grams are distances between the teacher's.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from pipeline.errors import ImageError, RunFolderError
from pipeline.files import write_atomic
from pipeline.layers import LAYERS
from pipeline.method import Backbone, Weights, gram, mean_activations, normalize
from pipeline.pictures import is_image_name, read_image, to_tensor

TAPS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv4_2", "conv5_1")
# In training every layer of the teacher is a target, so that each one learns a shallow problem.
HINTS = LAYERS[: LAYERS.index("conv5_1") + 1]
STYLE_TAPS = tuple(tap for tap in TAPS if tap != "conv4_2")
WIDTHS = (16, 16, 32, 32, 64, 80, 80, 80, 128, 128, 160, 160, 128)
_LONGEST_SIDE = 480
_DREAM_LIFE = 60


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training's result, apart from teacher and pictures.

    Attributes:
        steps: training steps.
        batch: fresh crops a step.
        dreams: pictures a step that are being optimized through the student.
        crop: side of a crop in pixels.
        learning_rate: Adam's (for heads and biases) at its highest; cosine decay to zero after a
            linear warm-up.
        kernel_rate: the same for the 3x3 kernels, which are trained by `Muon`.
        gram_weight: weight of the squared relative Gram error beside the feature error.
        seed: of the weights, the crops and the dreams.
        widths: channels of conv1_1, conv1_2, ... to conv5_1.
        precision: `fp32` or `bf16` (autocast of the convolutions).
    """

    steps: int = 26_000
    batch: int = 6
    dreams: int = 2
    crop: int = 112
    learning_rate: float = 5e-3
    kernel_rate: float = 0.01
    gram_weight: float = 1.0
    seed: int = 0
    widths: tuple[int, ...] = WIDTHS
    precision: str = "fp32"


@dataclass(frozen=True)
class Progress:
    """One training step.

    Attributes:
        step: steps done so far, from 1.
        loss: the training loss of this step.
        errors: squared error over energy per tap, on this step's crops.
    """

    step: int
    loss: float
    errors: Mapping[str, float]


# --- pictures ------------------------------------------------------------------------------------


def find_pictures(folder: Path) -> list[Path]:
    """All picture files below `folder`, sorted.

    Raises:
        ImageError: no such folder, or no picture in it.
    """
    if not folder.is_dir():
        raise ImageError(f"{folder}: no such folder; name a folder of pictures to train on")
    pictures = sorted(path for path in folder.rglob("*") if is_image_name(path))
    if len(pictures) < 2:
        raise ImageError(
            f"{folder}: {len(pictures)} pictures found, at least 2 are needed (one is held out); "
            f"put JPEG or PNG files there"
        )
    return pictures


def split_pictures(pictures: Sequence[Path], seed: int) -> tuple[list[Path], list[Path]]:
    """(training, held out): about a thirtieth, 1 to 48 pictures, is held out by a seeded draw."""
    order = list(pictures)
    random.Random(seed).shuffle(order)
    held_out = min(48, max(1, len(order) // 30))
    return order[held_out:], order[:held_out]


@lru_cache(maxsize=2048)
def _pixels(path: Path) -> Tensor:
    """The picture as uint8 3 x H x W, its long side at most `_LONGEST_SIDE`."""
    image = read_image(path)
    image.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()


def _crop(path: Path, side: int, draw: random.Random) -> Tensor:
    """A random crop at a random scale, perhaps mirrored, 3 x side x side in [0, 1]."""
    pixels = _pixels(path)
    shortest = min(pixels.shape[1:])
    span = max(8, round(min(shortest, side * draw.uniform(0.7, 2.2))))
    top, left = (draw.randint(0, n - span) for n in pixels.shape[1:])
    cut = pixels[:, top : top + span, left : left + span].float()[None] / 255
    cut = F.interpolate(cut, (side, side), mode="bilinear", antialias=True)[0]
    return cut.flip(2) if draw.random() < 0.5 else cut


def _augment(crop: Tensor, other: Tensor, draw: random.Random, noise: torch.Generator) -> Tensor:
    """Makes some crops odd, since optimization passes through odd pictures: recolored, mixed,
    noisy, posterized or turned on their side."""
    if draw.random() < 0.3:  # recolor: a gamma and a gain for each channel, perhaps swapped
        gains = torch.tensor([draw.uniform(0.5, 1.4) for _ in range(3)])[:, None, None]
        gammas = torch.tensor([draw.uniform(0.6, 1.8) for _ in range(3)])[:, None, None]
        crop = (crop.clamp_min(1e-3) ** gammas * gains)[draw.sample(range(3), 3)]
    if draw.random() < 0.15:  # a picture over another
        crop = crop.lerp(other, draw.uniform(0.2, 0.6))
    if draw.random() < 0.2:  # stronger contrast and color than photographs have
        crop = (crop - 0.5) * draw.uniform(1.2, 2.5) + 0.5
    if draw.random() < 0.25:
        grain = torch.randn(crop.shape, generator=noise)
        coarse = draw.choice((1, 1, 2, 4))
        grain = F.avg_pool2d(grain[None], coarse, ceil_mode=True)
        grain = F.interpolate(grain, crop.shape[1:], mode="nearest")[0] * coarse
        crop = crop + grain * draw.uniform(0.02, 0.25)
    if draw.random() < 0.1:
        levels = draw.choice((2, 3, 5))
        crop = (crop * levels).round() / levels
    if draw.random() < 0.25:
        crop = crop.transpose(1, 2)
    return crop.clamp(0, 1)


def draw_batch(pictures: Sequence[Path], recipe: Recipe, step: int) -> Tensor:
    """The fresh crops of one step, batch x 3 x crop x crop; the same for the same step."""
    draw = random.Random(f"{recipe.seed}/{step}")
    noise = torch.Generator().manual_seed(draw.getrandbits(60))
    crops = [_crop(draw.choice(pictures), recipe.crop, draw) for _ in range(recipe.batch)]
    pairs = zip(crops, crops[1:] + crops[:1], strict=True)
    return torch.stack([_augment(crop, other, draw, noise) for crop, other in pairs])


# --- teacher and student -------------------------------------------------------------------------


@torch.no_grad()
def reduce_teacher(teacher: Weights, crops: Sequence[Tensor], widths: Mapping[str, int]) -> Weights:
    """The teacher with each tap turned into its leading principal directions.

    For features f of C channels with second moment E[f f^T] = U diag(s) U^T, the new head hands out
    the leading K rows of U^T f, where K is the student's width or fewer, if fewer hold all but
    a 10,000th of the energy.

    Args:
        crops: batches B x 3 x H x W of training crops.
        widths: the student's channels per tap.
    """
    moments: dict[str, Tensor] = {}
    network = Backbone(teacher, HINTS)
    for batch in crops:
        for tap, features in network(batch).items():
            moments[tap] = moments.get(tap, torch.zeros(())) + gram(features).double().mean(0)
    heads = {}
    for tap, moment in moments.items():
        values, vectors = torch.linalg.eigh(moment)
        values, vectors = values.flip(0).clamp_min(0), vectors.flip(1)
        kept = int((values.cumsum(0) / values.sum() < 1 - 1e-4).sum()) + 1
        basis = vectors[:, : min(kept, widths[tap])].T.float()
        weight, bias = teacher.heads.get(
            tap, (torch.eye(len(moment))[:, :, None, None], torch.zeros(len(moment)))
        )
        heads[tap] = ((basis @ weight[:, :, 0, 0])[:, :, None, None], basis @ bias)
    return replace(teacher, heads=heads).with_digest()


class Student(nn.Module):
    """The trainable network: 3x3 convolutions, ReLU, average pooling, and a 1x1 head a tap."""

    def __init__(self, widths: Sequence[int], outputs: Mapping[str, int], seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.convs, self.heads = nn.ModuleDict(), nn.ModuleDict()
        channels = 3
        for layer, width in zip(LAYERS, widths, strict=False):
            self.convs[layer] = self._init(nn.Conv2d(channels, width, 3), 2.0, generator)
            channels = width
            if layer in outputs:
                head = nn.Conv2d(width, outputs[layer], 1)
                self.heads[layer] = self._init(head, 1.0, generator)

    @staticmethod
    def _init(conv: nn.Conv2d, gain: float, generator: torch.Generator) -> nn.Conv2d:
        deviation = (gain / conv.weight[0].numel()) ** 0.5
        with torch.no_grad():
            conv.weight.copy_(torch.randn(conv.weight.shape, generator=generator) * deviation)
            assert conv.bias is not None
            conv.bias.zero_()
        return conv

    def trunk(self, images: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Each tap's activations before its head. Images are B x 3 x H x W in [0, 1]."""
        x = (images - 0.45) / 0.225
        for layer, conv in self.convs.items():
            if layer.endswith("_1") and layer != "conv1_1":
                x = F.avg_pool2d(x, 2)
            x = F.relu(conv(F.pad(x, (1, 1, 1, 1), mode="replicate")))
            if layer in self.heads:
                yield layer, x

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Per tap the head's output, B x K x h x w, float32."""
        return {layer: self.heads[layer](x).float() for layer, x in self.trunk(images)}

    def weights(self, scales: Mapping[str, float]) -> Weights:
        """The network as backbone weights; head outputs multiplied by the teacher's scales."""

        def pair(conv: nn.Module, factor: float = 1.0) -> tuple[Tensor, Tensor]:
            weight, bias = conv.get_parameter("weight"), conv.get_parameter("bias")
            return weight.detach().cpu() * factor, bias.detach().cpu() * factor

        return Weights(
            name="lite",
            convs={layer: pair(conv) for layer, conv in self.convs.items()},
            heads={
                layer: pair(head, scales[layer])
                for layer, head in self.heads.items()
                if layer in TAPS
            },
            input=(
                torch.eye(3)[:, :, None, None] / 0.225,
                torch.full((3,), -0.45 / 0.225),
            ),
            source="distilled",
        )


class Muon(torch.optim.Optimizer):
    """Momentum whose update is made orthogonal, for the 3x3 kernels.

    Keller Jordan's Muon (2024): the update U S V^T of a kernel, seen as a matrix C_out x 9 C_in, is
    replaced by U V^T, approximated by five Newton-Schulz iterations, so that rare directions move
    as far as common ones. Here it needs half of Adam's steps for the same error.
    """

    def __init__(self, kernels: Sequence[Tensor], lr: float = 0.02, momentum: float = 0.95) -> None:
        super().__init__(list(kernels), {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Moves every kernel once."""
        for group in self.param_groups:
            for kernel in group["params"]:
                state = self.state[kernel]
                velocity = state.setdefault("velocity", torch.zeros_like(kernel))
                velocity.lerp_(kernel.grad, 1 - group["momentum"])
                update = _orthogonal(kernel.grad.lerp(velocity, group["momentum"]).flatten(1))
                tall = max(1.0, update.shape[0] / update.shape[1]) ** 0.5
                kernel.add_(update.view_as(kernel), alpha=-group["lr"] * tall)


def _orthogonal(matrix: Tensor) -> Tensor:
    """The nearest matrix with equal singular values, roughly: a quintic Newton-Schulz iteration
    with the coefficients of Jordan et al., which bring singular values to 0.7..1.2."""
    x: Tensor = matrix / (matrix.norm() + 1e-7)
    for _ in range(5):
        square = x @ x.T
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x


# --- the loss -------------------------------------------------------------------------------------


def feature_errors(
    student: Mapping[str, Tensor], teacher: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Squared error over energy per tap: sum (s - t)^2 / sum t^2, a scalar each."""
    return {
        tap: (student[tap] - features).square().sum() / features.square().sum()
        for tap, features in teacher.items()
    }


def gram_errors(student: Mapping[str, Tensor], teacher: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Squared relative Gram error per style tap, over the batch: sum |G_s - G_t|^2 / |G_t|^2,
    each picture's own, with a floor of a tenth of the batch's mean for nearly empty crops."""
    errors = {}
    for tap in STYLE_TAPS:
        wanted = gram(teacher[tap])
        energy = wanted.square().sum((1, 2))
        energy = energy.clamp_min(0.1 * float(energy.mean()))
        errors[tap] = ((gram(student[tap]) - wanted).square().sum((1, 2)) / energy).mean()
    return errors


# --- pictures optimized through the student -------------------------------------------------------


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
        ages = torch.full((count,), _DREAM_LIFE)
        return cls(torch.zeros(count, 3, side, side, device=device), grams, contents, ages)

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
            loss = (
                loss
                + ((gram(features[tap]) - wanted).norm(dim=(1, 2)) / wanted.norm(dim=(1, 2))).sum()
            )
        (gradient,) = torch.autograd.grad(loss, pixels)
        strength = gradient.square().mean((1, 2, 3), keepdim=True).sqrt().clamp_min(1e-12)
        rate = 0.05 * 0.1 ** (self.ages[chosen] / _DREAM_LIFE)
        moved = pixels.detach() - rate.to(pixels.device)[:, None, None, None] * gradient / strength
        self.pixels[chosen] = moved.clamp(0, 1)
        self.ages[chosen] += 1


# --- training -------------------------------------------------------------------------------------


@dataclass
class Training:
    """A training in progress: student, optimizer, dreams, and where it stands.

    Iterate `run()`; save with `save_checkpoint`; `result()` gives the student so far.
    """

    recipe: Recipe
    teacher: Weights
    pictures: Sequence[Path]
    device: str = "cpu"
    step: int = 0
    student: Student = field(init=False)
    dreams: Dreams = field(init=False)

    def __post_init__(self) -> None:
        recipe = self.recipe
        widths = dict(zip(LAYERS, recipe.widths, strict=False))
        plain = replace(recipe, batch=8)
        crops = [draw_batch(self.pictures, plain, -step) for step in range(1, 25)]
        self.reduced = reduce_teacher(self.teacher, crops, widths)
        self.network = Backbone(self.reduced, HINTS).to(self.device)
        self.network = self.network.to(memory_format=torch.channels_last)
        outputs = {tap: head[0].shape[0] for tap, head in self.reduced.heads.items()}
        self.scales = self._scales(crops)
        self.student = Student(recipe.widths, outputs, recipe.seed).to(self.device)
        self.student = self.student.to(memory_format=torch.channels_last)
        kernels = [conv.get_parameter("weight") for conv in self.student.convs.values()]
        known = {id(kernel) for kernel in kernels}
        rest = [p for p in self.student.parameters() if id(p) not in known]
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            "muon": Muon(kernels),
            "adam": torch.optim.Adam(rest, betas=(0.9, 0.98)),
        }
        self._refit_heads(batches=8)
        self.dreams = Dreams.empty(16 * recipe.dreams, recipe.crop, outputs, self.device)

    @torch.no_grad()
    def _scales(self, crops: Sequence[Tensor]) -> dict[str, float]:
        """Each tap's root mean square, by which targets are divided."""
        squares = dict.fromkeys(HINTS, 0.0)
        for batch in crops:
            for tap, features in self.network(batch.to(self.device)).items():
                squares[tap] += float(features.square().mean()) / len(crops)
        return {tap: value**0.5 for tap, value in squares.items()}

    def _autocast(self) -> torch.autocast:
        return torch.autocast(
            self.device.split(":")[0],
            torch.bfloat16,
            enabled=self.recipe.precision == "bf16",
        )

    @torch.no_grad()
    def _targets(self, images: Tensor) -> dict[str, Tensor]:
        with self._autocast():
            features = self.network(images.contiguous(memory_format=torch.channels_last))
        return {tap: f.float() / self.scales[tap] for tap, f in features.items()}

    def _set_rates(self) -> None:
        warm_up = min(1.0, (self.step + 1) / 200)
        cosine = 0.5 * (1 + math.cos(math.pi * self.step / self.recipe.steps))
        highest = {"muon": self.recipe.kernel_rate, "adam": self.recipe.learning_rate}
        for name, optimizer in self.optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = highest[name] * warm_up * cosine

    def run(self) -> Iterator[Progress]:
        """Trains from where it stands to `recipe.steps`, one `Progress` a step."""
        while self.step < self.recipe.steps:
            progress = self._advance()
            self.step += 1
            yield replace(progress, step=self.step)

    def _advance(self) -> Progress:
        recipe = self.recipe
        crops = draw_batch(self.pictures, recipe, self.step).to(self.device)
        turns = range(self.step * recipe.dreams, (self.step + 1) * recipe.dreams)
        chosen = [turn % len(self.dreams.ages) for turn in turns]
        images = torch.cat([crops, self.dreams.pixels[chosen]]) if chosen else crops
        images = images.contiguous(memory_format=torch.channels_last)
        targets = self._targets(images)
        for turn, index in zip(turns, chosen, strict=True):
            if self.dreams.ages[index] >= _DREAM_LIFE:
                self.dreams.restart(index, crops, targets, turn)
        self._set_rates()
        with self._autocast():
            features = self.student(images)
        errors = feature_errors(features, targets)
        loss = torch.stack(list(errors.values())).sum()
        loss = loss + recipe.gram_weight * sum(gram_errors(features, targets).values())
        self.student.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.student.parameters(), 1.0)
        for optimizer in self.optimizers.values():
            optimizer.step()
        if chosen:
            with self._autocast():
                self.dreams.advance(chosen, self.student)
        return Progress(0, float(loss.detach()), {tap: float(errors[tap].detach()) for tap in TAPS})

    # -- the result --

    @torch.no_grad()
    def result(self) -> Weights:
        """The student so far: heads refitted by least squares, filters rescaled so that each one's
        mean activation over training pictures is 1, rounded to float16 and back."""
        self._refit_heads()
        weights = self.student.weights(self.scales)
        samples = (to_tensor(read_image(path))[None] for path in self.pictures[:64])
        weights = normalize(weights, mean_activations(weights, samples, padding="replicate"))
        return round_to_half(weights)

    @torch.no_grad()
    def _refit_heads(self, batches: int = 60) -> None:
        """Heads by ridge regression on fresh crops: the best ones for the trunk as it stands."""
        sums: dict[str, tuple[Tensor, Tensor]] = {}
        for number in range(batches):
            images = draw_batch(self.pictures, self.recipe, self.recipe.steps + number)
            images = images.to(self.device)
            targets = self._targets(images)
            for tap, x in self.student.trunk(images):
                rows = F.pad(x, (0, 0, 0, 0, 0, 1), value=1.0).movedim(1, -1).flatten(0, 2)
                wanted = targets[tap].movedim(1, -1).flatten(0, 2)
                left, right = (rows.T @ rows).double(), (rows.T @ wanted).double()
                if tap in sums:
                    left, right = sums[tap][0] + left, sums[tap][1] + right
                sums[tap] = (left, right)
        for tap, (left, right) in sums.items():
            ridge = 1e-6 * left.diagonal().mean() * torch.eye(len(left), device=left.device)
            solution = torch.linalg.solve(left + ridge, right).float().T
            head = self.student.heads[tap]
            head.get_parameter("weight").copy_(solution[:, :-1, None, None])
            head.get_parameter("bias").copy_(solution[:, -1])

    # -- checkpoints --

    def _fingerprint(self) -> str:
        names = [path.name for path in self.pictures]
        parts = [asdict(self.recipe), self.teacher.digest, names]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def save_checkpoint(self, path: Path) -> None:
        """Writes all state as safetensors, whole or not at all."""
        tensors = {f"student.{k}": v for k, v in self.student.state_dict().items()}
        for name, optimizer in self.optimizers.items():
            for number, state in optimizer.state_dict()["state"].items():
                tensors |= {f"{name}.{number}.{key}": value for key, value in state.items()}
        tensors |= {f"dreams.grams.{tap}": grams for tap, grams in self.dreams.grams.items()}
        tensors |= {
            f"dreams.{name}": getattr(self.dreams, name) for name in ("pixels", "contents", "ages")
        }
        metadata = {"step": str(self.step), "fingerprint": self._fingerprint()}
        plain = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
        write_atomic(path, save(plain, metadata))

    def load_checkpoint(self, path: Path) -> None:
        """Goes on from a checkpoint of the same recipe, teacher and pictures.

        Raises:
            RunFolderError: the file is damaged or belongs to another training.
        """
        try:
            with safe_open(path, framework="pt", device=self.device) as file:
                metadata = dict(file.metadata() or {})
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise RunFolderError(
                f"{path}: damaged checkpoint ({error}); delete it to begin anew"
            ) from error
        if metadata.get("fingerprint") != self._fingerprint():
            raise RunFolderError(
                f"{path}: the checkpoint of another training (other steps, teacher, pictures or "
                f"recipe); delete it to begin anew, or repeat the command that made it"
            )
        self.step = int(metadata["step"])
        student = {k[8:]: v for k, v in tensors.items() if k.startswith("student.")}
        self.student.load_state_dict(student)
        for name, optimizer in self.optimizers.items():
            state: dict[int, dict[str, Tensor]] = {}
            for key, value in tensors.items():
                if key.startswith(f"{name}."):
                    _, number, part = key.split(".")
                    state.setdefault(int(number), {})[part] = value
            groups = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict({"state": state, "param_groups": groups})
        for name in ("pixels", "contents"):
            setattr(self.dreams, name, tensors[f"dreams.{name}"])
        self.dreams.ages = tensors["dreams.ages"].cpu()
        self.dreams.grams = {tap: tensors[f"dreams.grams.{tap}"] for tap in STYLE_TAPS}


def round_to_half(weights: Weights) -> Weights:
    """Weights as they are after a round trip through float16, the precision they are stored in."""

    def rounded(pair: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        return pair[0].half().float(), pair[1].half().float()

    return replace(
        weights,
        convs={layer: rounded(pair) for layer, pair in weights.convs.items()},
        heads={layer: rounded(pair) for layer, pair in weights.heads.items()},
        input=rounded(weights.input),
    ).with_digest()


def save_student(weights: Weights, path: Path, about: Mapping[str, object]) -> None:
    """Writes a student as a float16 safetensors file that `load_weights("lite", path)` reads."""
    tensors = {"input.weight": weights.input[0], "input.bias": weights.input[1]}
    for kind, layers in (("conv", weights.convs), ("head", weights.heads)):
        for layer, (weight, bias) in layers.items():
            tensors[f"{kind}{layer[4:]}.weight"], tensors[f"{kind}{layer[4:]}.bias"] = (
                weight,
                bias,
            )
    half = {key: value.half().contiguous() for key, value in tensors.items()}
    metadata = {key: json.dumps(value, sort_keys=True) for key, value in about.items()}
    write_atomic(path, save(half, metadata))


@torch.no_grad()
def held_out_errors(
    student: Weights, teacher: Weights, pictures: Sequence[Path], side: int = 256
) -> dict[str, float]:
    """Squared error over energy per tap between student and teacher on whole pictures.

    The student's features and the teacher's live in different bases; `student`'s heads are mapped
    to the teacher's space by the best linear map over the pictures, as a 1x1 projection would.
    """
    ours, theirs = Backbone(student, TAPS), Backbone(teacher, TAPS)
    sums: dict[str, list[Tensor]] = {}
    for path in pictures:
        image = read_image(path)
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
        pixels = to_tensor(image)[None]
        wanted = theirs(pixels)
        for tap, features in ours(pixels).items():
            a = F.pad(features, (0, 0, 0, 0, 0, 1), value=1.0)[0].flatten(1).double()
            b = wanted[tap][0].flatten(1).double()
            parts = [a @ a.T, a @ b.T, b.square().sum()]
            sums[tap] = (
                [s + p for s, p in zip(sums[tap], parts, strict=True)] if tap in sums else parts
            )
    errors = {}
    for tap, (aa, ab, energy) in sums.items():
        ridge = 1e-9 * aa.diagonal().mean() * torch.eye(len(aa))
        solution = torch.linalg.solve(aa + ridge, ab)
        errors[tap] = float((energy - (solution * ab).sum()) / energy)
    return errors
