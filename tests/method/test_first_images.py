"""Where the optimization starts: each `init`, files, and noise mixed in."""

import itertools

import torch

from pipeline.manifest import INITS, Settings
from pipeline.method.first_images import first_images, noise_like

CONTENT = torch.rand(3, 8, 10, generator=torch.Generator().manual_seed(1))
STYLE = torch.rand(3, 6, 6, generator=torch.Generator().manual_seed(2))


def first(**settings: object) -> torch.Tensor:
    job = Settings(**settings)  # type: ignore[arg-type]
    return first_images([job], CONTENT[None], {"mine.png": CONTENT.flip(0)}, [[STYLE]])[0]


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
