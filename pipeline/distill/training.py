"""A training in progress: steps, checkpoints, the result.

In: a teacher's weights and pictures. Out: a student's `Weights`, and a checkpoint from which a
killed training goes on to the same result. Knows nothing of manifests, jobs or the console.

What counts is the picture that optimization *through* the student gives. So the student matches
the teacher's features and their Gram matrices, and part of each batch are pictures that are being
optimized through the student itself. The teacher looks at few pictures a step; the others are
pictures of before.
"""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from pipeline.distill.checkpoint import fingerprint, read_checkpoint, write_checkpoint
from pipeline.distill.crops import Folders, draw_crops, whole_picture
from pipeline.distill.dreams import Dreams
from pipeline.distill.files import round_to_half
from pipeline.distill.loss import feature_errors, gram_errors
from pipeline.distill.muon import Muon
from pipeline.distill.recipe import HINTS, TAPS, Progress, Recipe
from pipeline.distill.replay import Replay
from pipeline.distill.student import Student, fit_heads, reduce_teacher, with_even_filters
from pipeline.layers import LAYERS
from pipeline.method import Backbone, Weights, mean_activations, normalize


@dataclass
class Training:
    """A training in progress: student, optimizer, dreams, and where it stands.

    Iterate `run()`; save with `save_checkpoint`; `result()` gives the student so far.
    """

    recipe: Recipe
    teacher: Weights
    folders: Folders
    start: Weights | None = None
    device: str = "cpu"
    step: int = 0
    student: Student = field(init=False)
    dreams: Dreams = field(init=False)
    replay: Replay = field(init=False)

    def __post_init__(self) -> None:
        recipe = self.recipe
        widths = dict(zip(LAYERS, recipe.widths, strict=False))
        crops = [draw_crops(self.folders, recipe, -step, 8) for step in range(1, 25)]
        self.reduced = reduce_teacher(self.teacher, crops, widths, recipe.padding)
        self.network = Backbone(self.reduced, HINTS, padding=recipe.padding).to(self.device)
        self.network = self.network.to(memory_format=torch.channels_last)
        outputs = {tap: head[0].shape[0] for tap, head in self.reduced.heads.items()}
        self.scales = self._scales(crops)
        self.student = Student(recipe, outputs).to(self.device)
        if self.start:
            self.student.take(with_even_filters(self.start, crops, recipe.padding))
        self.student = self.student.to(memory_format=torch.channels_last)
        kernels = [conv.get_parameter("weight") for conv in self.student.convs.values()]
        known = {id(kernel) for kernel in kernels}
        rest = [p for p in self.student.parameters() if id(p) not in known]
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            "muon": Muon(kernels),
            "adam": torch.optim.Adam(rest, betas=(0.9, 0.98)),
        }
        self._refit_heads(batches=8)
        self.replay = Replay(recipe.replay)
        self.dreams = Dreams.empty(32 * recipe.dreams, recipe.crop, outputs, self.device)

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
        recipe, draw = self.recipe, random.Random(f"{self.recipe.seed}/{self.step}/batch")
        crops = draw_crops(self.folders, recipe, self.step, recipe.fresh).to(self.device)
        turns = range(self.step * recipe.dreams, (self.step + 1) * recipe.dreams)
        chosen = [turn % len(self.dreams.ages) for turn in turns]
        begun = [index for index in chosen if not self.dreams.is_old(index)]
        if begun:
            with self._autocast():
                self.dreams.advance(begun, self.student, recipe.dream_steps)
        fresh = torch.cat([crops, self.dreams.pixels[begun]])
        known = self._targets(fresh)
        self.replay.add(fresh, known)
        for index in set(chosen) - set(begun):
            self.dreams.restart(index, self.replay.draw(1, draw), self.replay.draw(1, draw), draw)
        images, targets = self.replay.draw(max(0, recipe.batch - len(fresh)), draw)
        images = torch.cat([fresh, images]).contiguous(memory_format=torch.channels_last)
        return self._fit(images, {tap: torch.cat([known[tap], targets[tap]]) for tap in known})

    def _fit(self, images: Tensor, targets: Mapping[str, Tensor]) -> Progress:
        """One step of the student towards the teacher's features of `images`."""
        self._set_rates()
        with self._autocast():
            features = self.student(images)
        errors = feature_errors(features, targets)
        loss = torch.stack(list(errors.values())).sum()
        loss = loss + self.recipe.gram_weight * sum(gram_errors(features, targets).values())
        self.student.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.student.parameters(), 1.0)
        for optimizer in self.optimizers.values():
            optimizer.step()
        return Progress(0, float(loss.detach()), {tap: float(errors[tap].detach()) for tap in TAPS})

    # -- the result --

    @torch.no_grad()
    def result(self) -> Weights:
        """The student so far: heads refitted by least squares, filters brought to one size (see
        `with_even_filters`), rounded to float16 and back."""
        self._refit_heads()
        weights = self.student.weights(self.scales, self._channels())
        share = max(1, 64 // len(self.folders))
        samples = [whole_picture(path) for folder in self.folders for path in folder[:share]]
        weights = with_even_filters(weights, samples, self.recipe.padding)
        weights = replace(weights, means=self._means(samples[::4], weights.heads))
        return round_to_half(weights)

    def _means(self, samples: Sequence[Tensor], layers: Collection[str]) -> dict[str, float]:
        """By what the normalized teacher's features are smaller than its own, per layer; 4 digits.

        Each filter i is divided by its own mean activation m_i there. The student hands out all of
        them mixed, so it is one number a layer: m with sum E[F_i^2] / m^2 = sum E[F_i^2] / m_i^2.
        """
        padding = self.recipe.padding
        even = normalize(self.teacher, mean_activations(self.teacher, samples, padding=padding))
        energies = []
        for weights in (self.teacher, even):
            network = Backbone(replace(weights, heads={}), layers, padding=padding)
            energy = dict.fromkeys(layers, 0.0)
            for sample in samples:
                for layer, features in network(sample).items():
                    energy[layer] += float(features.square().sum(1).mean())
            energies.append(energy)
        own, smaller = energies
        return {layer: float(f"{(own[layer] / smaller[layer]) ** 0.5:.4g}") for layer in layers}

    def _channels(self) -> dict[str, int]:
        """The teacher's number of channels per layer, of which the student has the leading ones."""
        own = {layer: len(bias) for layer, (_, bias) in self.teacher.convs.items()}
        heads = {layer: len(bias) for layer, (_, bias) in self.teacher.heads.items()}
        return own | heads | dict(self.teacher.channels)

    def _refit_heads(self, batches: int = 60) -> None:
        """The best heads for the trunk as it stands, by fresh crops."""
        numbers = range(self.recipe.steps, self.recipe.steps + batches)
        drawn = (draw_crops(self.folders, self.recipe, number, 8) for number in numbers)
        images = (batch.to(self.device) for batch in drawn)
        fit_heads(self.student, ((batch, self._targets(batch)) for batch in images))

    # -- checkpoints --

    def save_checkpoint(self, path: Path) -> None:
        """Writes all state as safetensors, whole or not at all."""
        tensors = {f"student.{k}": v for k, v in self.student.state_dict().items()}
        for name, optimizer in self.optimizers.items():
            for number, state in optimizer.state_dict()["state"].items():
                tensors |= {f"{name}.{number}.{key}": value for key, value in state.items()}
        tensors |= {f"dreams.{key}": value for key, value in self.dreams.tensors().items()}
        if len(self.replay):
            tensors["replay.pixels"] = torch.cat(self.replay.groups)
            tensors["replay.together"] = torch.tensor(self.replay.together())
        write_checkpoint(path, tensors, self.step, self._made_of())

    def load_checkpoint(self, path: Path) -> None:
        """Goes on from a checkpoint of the same recipe, teacher and pictures.

        Raises:
            RunFolderError: the file is damaged or belongs to another training.
        """
        self.step, tensors = read_checkpoint(path, self._made_of(), self.device)
        self.student.load_state_dict(_below("student", tensors))
        for name, optimizer in self.optimizers.items():
            state: dict[int, dict[str, Tensor]] = {}
            for key, value in _below(name, tensors).items():
                number, _, part = key.partition(".")
                state.setdefault(int(number), {})[part] = value
            groups = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict({"state": state, "param_groups": groups})
        self.dreams = Dreams.of(_below("dreams", tensors))
        self.replay = Replay(self.recipe.replay)
        if "replay.pixels" in tensors:  # the features are made again, which takes less than a file
            counts = tensors["replay.together"].tolist()
            for group in torch.split(tensors["replay.pixels"], counts):
                self.replay.add(group, self._targets(group))

    def _made_of(self) -> str:
        networks = self.teacher.digest + (self.start.digest if self.start else "")
        return fingerprint(self.recipe, networks, self.folders)


def _below(name: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with `name.`, without it."""
    return {k.removeprefix(f"{name}."): v for k, v in tensors.items() if k.startswith(f"{name}.")}
