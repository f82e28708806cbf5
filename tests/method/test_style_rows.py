"""Styles that several jobs share are there once, and the losses are each job's own."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from pipeline.manifest import Settings
from pipeline.method import Kinds, Regions, StyleTransferLoss, job_weights, prepare_targets
from pipeline.method.losses.style import STATISTICS, style_sums

LAYERS = ("conv1_1", "conv2_1")
CHANNELS = {"conv1_1": 5, "conv2_1": 7}
SIZES = {"conv1_1": (12, 10), "conv2_1": (6, 5)}
ROWS = [1, 0, 1, 1]
NAMES = [pytest.param(name, regions, id=f"{name}-{regions}")
         for name in STATISTICS for regions in (0, 2) if not regions or STATISTICS[name].additive
         ]  # fmt: skip


def features(seed: int, count: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        layer: torch.rand(count, CHANNELS[layer], *SIZES[layer], generator=generator) ** 2
        for layer in LAYERS
    }


def targets(name: str, regions: int, count: int = 2) -> dict[str, Tensor]:
    """Of so many styles: U x C x K, or U x R x C x K."""
    found = {}
    for layer, values in features(7, count).items():
        guides = None
        if regions:
            guides = torch.rand(
                count, regions, *values.shape[2:], generator=torch.Generator().manual_seed(3)
            )
        sums, counts = style_sums(name, values, guides)
        means = sums / counts[..., None, None]
        found[layer] = means if regions else means[:, 0]
    return found


def loss_of(kind: str, name: str, regions: int, styles: dict[str, Tensor], jobs: int,
            **given: Any) -> StyleTransferLoss:  # fmt: skip
    settings = Settings(style_layers=list(LAYERS), content_weight=0, tv_weight=0)
    whole = None
    if regions:
        guides = torch.rand(jobs, regions, 12, 10, generator=torch.Generator().manual_seed(5))
        whole = Regions(guides, torch.full((jobs, regions), 1 / regions))
    weights = job_weights([settings] * jobs, torch.device("cpu"))
    return StyleTransferLoss(Kinds(kind, name), {}, styles, weights, whole, **given)


def found(loss: StyleTransferLoss, rows: list[int] | None = None) -> tuple[Tensor, Tensor]:
    """The style loss of the same 4 pictures, or some of them, and its gradient."""
    shown = {k: v[rows or [0, 1, 2, 3]].requires_grad_() for k, v in features(1, 4).items()}
    losses = loss(torch.zeros(len(shown["conv1_1"]), 3, 12, 10), shown)
    gradients = torch.autograd.grad(losses.total.sum(), list(shown.values()))
    return losses.style, torch.cat([each.flatten(1) for each in gradients], 1)


@pytest.mark.parametrize("kind", ["paper", "relative", "mean"])
@pytest.mark.parametrize(("name", "regions"), NAMES)
def test_a_style_that_is_there_once_is_each_jobs_own(name: str, regions: int, kind: str) -> None:
    styles = targets(name, regions)
    alike = {layer: values[ROWS] for layer, values in styles.items()}
    wanted = found(loss_of(kind, name, regions, alike, 4))
    own = loss_of(kind, name, regions, styles, 4, style_rows=torch.tensor(ROWS))
    assert all(torch.equal(a, b) for a, b in zip(found(own), wanted, strict=True))
    some = [0, 1, 3]
    left = found(own.select(torch.tensor(some)), some)
    for own_value, value in zip(left, wanted, strict=True):
        torch.testing.assert_close(own_value, value[some], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(("name", "regions"), NAMES)
def test_one_style_of_all_jobs_is_not_copied(name: str, regions: int) -> None:
    styles = targets(name, regions, 1)
    alike = {layer: values[[0] * 4] for layer, values in styles.items()}
    wanted = found(loss_of("relative", name, regions, alike, 4))
    own = loss_of("relative", name, regions, styles, 4, style_rows=torch.tensor([0] * 4))
    assert all(torch.equal(a, b) for a, b in zip(found(own), wanted, strict=True))
    if not regions:
        parts = [part for parts in own.prepared.values() for part in parts]
        assert {(len(part), part.stride(0)) for part in parts} == {(4, 0)}


@pytest.mark.parametrize("regions", [0, 2])
def test_what_was_found_once_a_style_is_not_found_again(
    monkeypatch: pytest.MonkeyPatch, regions: int
) -> None:
    def never(target: Tensor, device: str | None = None) -> tuple[Tensor, ...]:
        raise AssertionError("it is there")

    styles, rows = targets("wasserstein", regions), torch.tensor(ROWS)
    wanted = found(loss_of("relative", "wasserstein", regions, styles, 4, style_rows=rows))
    each = [{k: v[i] for k, v in styles.items()} for i in range(2)]
    made = [prepare_targets("wasserstein", one) for one in each]
    together = {
        layer: tuple(map(torch.cat, zip(*(one[layer] for one in made), strict=True)))
        for layer in LAYERS
    }
    monkeypatch.setitem(STATISTICS, "wasserstein",
                        replace(STATISTICS["wasserstein"], prepare=never))  # fmt: skip
    own = loss_of("relative", "wasserstein", regions, styles, 4, style_rows=rows, prepared=together)
    assert all(torch.equal(a, b) for a, b in zip(found(own), wanted, strict=True))
    own.select(torch.tensor([0, 3]))
    with pytest.raises(AssertionError, match="it is there"):
        loss_of("relative", "wasserstein", regions, styles, 4, style_rows=rows)


def test_jobs_with_a_style_each_that_settle_find_nothing_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[int] = []
    real = STATISTICS["wasserstein"]

    def counted(target: Tensor, device: str | None = None) -> tuple[Tensor, ...]:
        calls.append(len(target))
        return real.prepare(target, device)

    monkeypatch.setitem(STATISTICS, "wasserstein", replace(real, prepare=counted))
    loss = loss_of("relative", "wasserstein", 0, targets("wasserstein", 0, 4), 4)
    wanted = found(loss)
    left = loss.select(torch.tensor([1, 2, 3])).select(torch.tensor([0, 2]))
    for own, value in zip(found(left, [1, 3]), wanted, strict=True):
        torch.testing.assert_close(own, value[[1, 3]], rtol=1e-4, atol=1e-7)
    assert calls == [4, 4]  # once a layer
