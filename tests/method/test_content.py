"""Content that stays: the Laplacian loss, and pictures of where content counts more."""

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.manifest import Settings
from pipeline.method import (
    Backbone,
    Kinds,
    ScaleInputs,
    StyleTransferLoss,
    features_of,
    job_weights,
    load_weights,
    optimize,
    schedule_scales,
    style_targets,
)
from pipeline.method.losses.laplacian import Outlines
from pipeline.method.tiles import losses_and_gradient

LAYERS = ("conv1_1", "conv3_1", "conv4_2")


def noise(seed: int, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def lite() -> Backbone:
    return Backbone(load_weights("lite"), LAYERS)


def hand_laplacian(picture: np.ndarray, square: int) -> np.ndarray:
    """Of 3 x H x W in loops."""
    c, h, w = picture.shape[0], picture.shape[1] // square, picture.shape[2] // square
    small = np.zeros((c, h, w))
    for y in range(h):
        for x in range(w):
            block = picture[:, y * square : (y + 1) * square, x * square : (x + 1) * square]
            small[:, y, x] = block.mean((1, 2))
    found = np.zeros((c, h - 2, w - 2))
    for y in range(1, h - 1):
        for x in range(1, w - 1):
            around = (
                small[:, y - 1, x] + small[:, y + 1, x] + small[:, y, x - 1] + small[:, y, x + 1]
            )
            found[:, y - 1, x - 1] = around - 4 * small[:, y, x]
    return found


def test_the_laplacian_loss_is_its_formula() -> None:
    images, contents = noise(0, 2, 3, 70, 83), noise(1, 2, 3, 70, 83)
    found = Outlines.of(contents).loss(images)
    for index in range(2):
        x, c = (t[index].double().numpy() for t in (images, contents))
        each = [
            ((hand_laplacian(x, p) - hand_laplacian(c, p)) ** 2).sum()
            / (hand_laplacian(c, p) ** 2).sum()
            for p in (4, 16)
        ]
        assert float(found[index]) == pytest.approx(sum(each) / 2, rel=1e-4)


def test_a_picture_is_like_itself_and_a_small_one_has_no_outlines() -> None:
    contents = noise(1, 2, 3, 70, 83)
    assert bool((Outlines.of(contents).loss(contents) == 0).all())
    assert list(Outlines.of(noise(2, 1, 3, 40, 83)).targets) == [4]
    assert float(Outlines.of(noise(2, 1, 3, 8, 8)).loss(noise(3, 1, 3, 8, 8))) == 0
    (one,) = Outlines.of(contents).select(torch.tensor([1])).loss(noise(5, 1, 3, 70, 83)).tolist()
    assert one == pytest.approx(float(Outlines.of(contents).loss(noise(5, 1, 3, 70, 83))[1]))


def whole_loss(
    backbone: Backbone, contents: Tensor, keep: Tensor | None, kind: str = "relative"
) -> StyleTransferLoss:
    jobs = [Settings(laplacian_weight=w, style_layers=["conv1_1", "conv3_1"]) for w in (0.0, 2.0)]
    grams = style_targets(backbone, noise(7, 3, 90, 100), ("conv1_1", "conv3_1"))
    return StyleTransferLoss(
        Kinds(kind),
        features_of(backbone, contents, ("conv4_2",)),
        {k: torch.stack([v, v]) for k, v in grams.items()},
        job_weights(jobs, torch.device("cpu")),
        keep=keep,
        outlines=Outlines.of(contents),
    )


@pytest.mark.parametrize("kind", ["relative", "mean", "paper"])
def test_a_keep_of_one_gray_changes_nothing_and_black_counts_nothing(
    lite: Backbone, kind: str
) -> None:
    images, contents = noise(0, 2, 3, 64, 96), noise(1, 2, 3, 64, 96)
    features = lite(images)
    plain = whole_loss(lite, contents, None, kind)(images, features)
    even = whole_loss(lite, contents, torch.ones(2, 1, 64, 96), kind)(images, features)
    torch.testing.assert_close(even.content, plain.content)
    left = torch.zeros(2, 1, 64, 96)
    left[..., :48] = 2.0  # 1 in the mean
    half = whole_loss(lite, contents, left, kind)(images, features).content[0]
    apart = (features["conv4_2"] - lite(contents)["conv4_2"])[0].double()
    share = float(apart[..., :6].square().sum() / apart.square().sum())
    assert float(half) == pytest.approx(2 * share * float(plain.content[0]), rel=1e-4)


@pytest.mark.parametrize(
    "height, width", [(211, 294), pytest.param(205, 301, marks=pytest.mark.long)]
)
def test_tiles_add_up_to_the_whole(lite: Backbone, height: int, width: int) -> None:
    images, contents = noise(0, 2, 3, height, width), noise(1, 2, 3, height, width)
    keep = noise(3, 2, 1, height, width) * 2
    loss = whole_loss(lite, contents, keep)
    whole, gradient = losses_and_gradient(lite, loss, images)
    tiled, in_tiles = losses_and_gradient(lite, loss, images, 64)
    torch.testing.assert_close(tiled.content, whole.content, rtol=1e-5, atol=1e-6)
    scale = float(gradient.abs().max())
    torch.testing.assert_close(in_tiles / scale, gradient / scale, rtol=0, atol=1e-4)


def run(lite: Backbone, jobs: list[Settings], keep: Tensor | None = None) -> Tensor:
    (scale,) = scales = schedule_scales(jobs[0], 96, 64)
    content, style = noise(9, 1, 3, scale.height, scale.width), noise(8, 3, 64, 96)
    grams = style_targets(lite, style, ("conv1_1", "conv3_1"))
    stacked = {k: torch.stack([v] * len(jobs)) for k, v in grams.items()}
    rows = torch.zeros(len(jobs), dtype=torch.long)
    given = ScaleInputs(content, rows, stacked, keep=keep)
    for step in optimize(lite, jobs, scales, lambda _: given):
        images = step.images
    return images - content


def job(**changed: object) -> Settings:
    layers = {"style_layers": ["conv1_1", "conv3_1"], "preset": "classic"}
    return Settings.model_validate({"size": 96, "scale_start": 0, "steps": 20, **layers, **changed})


def test_jobs_with_and_without_share_a_batch(lite: Backbone) -> None:
    both = run(lite, [job(), job(laplacian_weight=5.0)])
    torch.testing.assert_close(both[:1], run(lite, [job()]), rtol=0, atol=2e-3)
    assert float(both[1].square().mean()) != float(both[0].square().mean())


def test_what_is_white_stays_more_like_the_content(lite: Backbone) -> None:
    keep = torch.zeros(1, 1, 64, 96)
    keep[..., :32] = 3.0
    with_it = run(lite, [job(content_weight=20.0)], keep)[0].square()
    without = run(lite, [job(content_weight=20.0)])[0].square()
    assert float(with_it[..., :24].mean()) < 0.9 * float(without[..., :24].mean())
    assert float(with_it[..., 40:].mean()) > 1.1 * float(without[..., 40:].mean())
