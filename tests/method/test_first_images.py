"""Where the optimization starts: each `init`, files, and noise mixed in."""

import itertools

import numpy as np
import pytest
import torch

from pipeline.manifest import INITS, Settings
from pipeline.method import Regions
from pipeline.method.first_images import Styles, contents_as_begun, first_images, noise_like
from pipeline.pictures import move_to_styles

CONTENT = torch.rand(3, 8, 10, generator=torch.Generator().manual_seed(1))
STYLE = torch.rand(3, 6, 6, generator=torch.Generator().manual_seed(2))


def first(**settings: object) -> torch.Tensor:
    job = Settings(**settings)  # type: ignore[arg-type]
    return first_images(
        [job], CONTENT[None], {"mine.png": CONTENT.flip(0)}, [Styles([STYLE], [1.0])]
    )[0]


def test_every_init_of_the_settings_is_another_picture() -> None:
    pictures = [first(init=name) for name in INITS]
    assert all(picture.shape == CONTENT.shape for picture in pictures)
    assert not [True for a, b in itertools.combinations(pictures, 2) if torch.equal(a, b)]


def test_plain_inits_are_what_they_say() -> None:
    assert torch.equal(first(init="content"), CONTENT)
    assert bool((first(init="gray") == 0.5).all())
    mean = torch.tensor([123.68, 116.779, 103.939]) / 255
    torch.testing.assert_close(first(init="mean").mean((1, 2)), mean, rtol=0, atol=1e-5)
    assert torch.equal(
        first(init="noise", seed=3), (noise_like((3, 8, 10), 3, 0.25) + 0.5).clamp(0, 1)
    )


def test_a_file_is_taken_as_it_is() -> None:
    assert torch.equal(first(init="mine.png"), CONTENT.flip(0))


def test_noise_is_mixed_in_by_its_share() -> None:
    noise = noise_like((3, 8, 10), 5 + 1, 0.25) + 0.5
    expected = (0.75 * CONTENT + 0.25 * noise).clamp(0, 1)
    torch.testing.assert_close(first(init="content", seed=5, init_noise=0.25), expected)


def moments(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    flat = pixels.reshape(3, -1)
    return flat.mean(1), np.cov(flat, bias=True)


def test_matched_content_has_the_blended_styles_mean_and_covariance_by_the_least_move() -> None:
    other = torch.rand(3, 9, 5, generator=torch.Generator().manual_seed(4)) ** 2
    move = move_to_styles(CONTENT, [STYLE, other], [0.25, 0.75])
    found = move(CONTENT.double()).numpy()
    pixels = [
        (style.double().numpy().reshape(3, -1), weight)
        for style, weight in ((STYLE, 0.25), (other, 0.75))
    ]
    mean = sum(flat.mean(1) * weight for flat, weight in pixels)
    second = sum(flat @ flat.T / flat.shape[1] * weight for flat, weight in pixels)
    wanted = second - np.outer(mean, mean)
    ours = moments(found)
    np.testing.assert_allclose(ours[0], mean, atol=1e-6)
    np.testing.assert_allclose(ours[1], wanted, atol=1e-5)
    # Optimal transport between Gaussians is symmetric and positive, and moves no farther than the
    # distance of the two: tr S + tr S' - 2 tr (S^(1/2) S' S^(1/2))^(1/2).
    matrix = move.matrix.numpy()
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-9)
    assert (np.linalg.eigvalsh(matrix) > 0).all()
    content = CONTENT.double().numpy()
    own_mean, own = moments(content)
    values = np.linalg.eigvals(own @ wanted).real
    distance = np.trace(own) + np.trace(wanted) - 2 * np.sqrt(values).sum()
    distance += ((own_mean - mean) ** 2).sum()
    moved = ((found - content) ** 2).sum(0).mean()
    assert moved == pytest.approx(distance, rel=1e-3)


def test_a_picture_of_one_color_can_be_matched() -> None:
    flat = torch.full((3, 8, 10), 0.3)
    moved = move_to_styles(flat, [STYLE], [1.0])(flat)
    torch.testing.assert_close(moved.mean((1, 2)), STYLE.mean((1, 2)))
    assert float((moved - moved.mean((1, 2), keepdim=True)).abs().max()) < 1e-5


def test_detail_is_put_back_in_the_colors_of_the_beginning() -> None:
    jobs = [Settings(init="content_matched"), Settings()]
    contents = torch.stack([CONTENT, CONTENT])
    large = torch.rand(2, 3, 16, 20, generator=torch.Generator().manual_seed(5))
    found = contents_as_begun(jobs, large, contents, [Styles([STYLE], [1.0]), None])
    torch.testing.assert_close(found[0], move_to_styles(CONTENT, [STYLE], [1.0])(large[0]))
    assert torch.equal(found[1], large[1])
    assert contents_as_begun(jobs[1:], large, contents, []) is large


def test_regions_that_stay_keep_their_colors() -> None:
    jobs, styles = [Settings(init="content_matched")] * 2, [Styles([STYLE], [1.0])] * 2
    contents = torch.stack([CONTENT, CONTENT])
    left = torch.zeros(2, 1, 8, 10)
    left[..., :4], left[..., 4] = 1, 0.5
    guides = torch.cat((left, 1 - left), 1)
    regions = Regions(guides, torch.tensor([[1.0, 0.0], [0.5, 0.5]]))
    found = first_images(jobs, contents, {}, styles, regions)
    moved = move_to_styles(CONTENT, [STYLE], [1.0])(CONTENT).clamp(0, 1)
    assert torch.equal(found[0, ..., 5:], CONTENT[..., 5:])
    torch.testing.assert_close(found[0, ..., :4], moved[..., :4])
    torch.testing.assert_close(found[1], moved)


def elsewhere(**settings: object) -> torch.Tensor:
    """Of a content picture on a device from which torch copies nothing back."""
    job = Settings(**settings)  # type: ignore[arg-type]
    pictures, styles = {"mine.png": CONTENT}, [Styles([STYLE], [1.0])]
    return first_images([job], CONTENT[None].to("meta"), pictures, styles)


@pytest.mark.parametrize("share", [0.0, 0.5])
@pytest.mark.parametrize(
    "init", [*(name for name in INITS if name != "content_matched"), "mine.png"]
)
def test_a_content_picture_never_leaves_its_device(init: str, share: float) -> None:
    found = elsewhere(init=init, init_noise=share)
    assert found.device.type == "meta" and found.shape == (1, 3, 8, 10)
    with pytest.raises(NotImplementedError, match="meta tensor"):
        elsewhere(init="content_matched")  # colors are moved on the CPU


def test_jobs_that_share_a_seed_begin_as_each_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[int, float]] = []

    def counted(shape: torch.Size, seed: int, deviation: float) -> torch.Tensor:
        drawn.append((seed, deviation))
        return noise_like(shape, seed, deviation)

    given = [("noise", 0.0), ("noise", 0.3), ("mean", 0.3), ("content", 0.3), ("style_noise", 0.0)]
    jobs = [Settings(init=init, init_noise=share, seed=4) for init, share in given]
    alone = [first(init=init, init_noise=share, seed=4) for init, share in given]
    monkeypatch.setattr("pipeline.method.first_images.noise_like", counted)
    contents, styles = CONTENT.expand(5, -1, -1, -1), [Styles([STYLE], [1.0])] * 5
    together = first_images(jobs, contents, {}, styles)
    assert all(torch.equal(one, own) for one, own in zip(together, alone, strict=True))
    assert sorted(drawn) == [(4, 0.001 / 255), (4, 0.25), (4, 1.0), (5, 0.25)]
